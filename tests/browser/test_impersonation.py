"""A superuser who acts as a user, as people see it."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import DASHBOARD, assert_accessible, log_in, overflow, violations
from tests.conftest import Person
from tests.impersonation import REASON

BANNER = "You act as ada, read-only, until"


async def begin(page: Page, root: Person, ada: Person) -> None:
    await log_in(page, root, f"{DASHBOARD}/users/{ada.id}")
    await page.get_by_role("link", name="Act as this user").click()
    await page.get_by_label("Reason").fill(REASON)
    await page.get_by_role("button", name="Act as this user").click()
    await expect(page).to_have_title("Your account · Backend API")


async def test_it_begins_in_the_drawer_where_a_refusal_is_shown_too(page, root, ada, watch):
    watch.expected |= {"status of 422", "htmx:", "Response Status Error"}
    await log_in(page, root, f"{DASHBOARD}/users")
    await page.locator("#users").get_by_role("link", name="ada").click()
    drawer = page.get_by_role("dialog", name="User")
    await drawer.get_by_role("link", name="Act as this user").click()
    await drawer.get_by_role("button", name="Act as this user").click()
    await expect(drawer.get_by_role("alert").last).to_contain_text("Not begun")
    await drawer.get_by_label("Reason").fill(REASON)
    await drawer.get_by_role("button", name="Act as this user").click()

    await expect(page).to_have_title("Your account · Backend API")
    await expect(page.get_by_role("complementary")).to_contain_text(BANNER)


@pytest.mark.parametrize("has_scripts", [True, False])
async def test_it_begins_with_a_reason_and_ends_by_one_click(open_page, root, ada, has_scripts):
    page = await open_page(java_script_enabled=has_scripts)
    await begin(page, root, ada)
    await page.get_by_role("link", name="Security").click()

    await expect(page.get_by_role("complementary")).to_contain_text(BANNER)
    await expect(page.get_by_role("button", name="Log out")).to_have_count(0)
    await page.get_by_role("button", name="End", exact=True).click()

    await expect(page).to_have_url(f"{DASHBOARD}/users/{ada.id}")
    await expect(page.get_by_role("status").first).to_contain_text("You act as yourself again")
    await expect(page.get_by_text(BANNER)).to_have_count(0)
    await expect(page.get_by_role("link", name=root.email)).to_be_visible()


async def test_a_change_is_refused_on_a_page_with_the_banner(page, root, ada, watch):
    watch.expect_status(403)
    await begin(page, root, ada)
    await page.get_by_role("link", name="Edit profile").click()
    await page.get_by_label("Full name").fill("Eve")
    await page.get_by_role("button", name="Save").click()

    await expect(page.get_by_role("heading", level=1)).to_have_text(
        "You act as another user, read-only"
    )
    await expect(page.get_by_role("complementary")).to_contain_text(BANNER)


async def test_the_form_is_accessible_and_fits_a_phone(open_page, root, ada):
    await assert_accessible(open_page, root, f"{DASHBOARD}/users/{ada.id}/impersonation")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_banner_is_accessible_and_fits_a_small_phone(open_page, root, ada, scheme):
    page = await open_page(color_scheme=scheme, viewport={"width": 320, "height": 640})
    await begin(page, root, ada)

    assert await violations(page) == []
    assert await overflow(page) <= 0

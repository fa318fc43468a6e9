"""The page of the audit trail as people see it."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import DASHBOARD, assert_accessible, log_in, violations

AUDIT = f"{DASHBOARD}/audit"
VIEWS = {
    "events": AUDIT,
    "none": f"{AUDIT}?action=user.deleted",
    "user": f"{DASHBOARD}/users/1/history",
}


@pytest.fixture
async def change(root) -> None:
    await root.patch("/users/me", json={"full_name": "Root " + "x" * 150})


@pytest.fixture
async def table(page: Page, root, change) -> Page:
    await log_in(page, root, AUDIT)
    return page


async def test_an_action_is_shown_as_soon_as_it_is_chosen_and_its_changes_on_request(table):
    await table.get_by_label("Action").select_option("user.updated")
    await expect(table.locator("tbody tr")).to_have_count(1)
    await table.wait_for_url(f"**{AUDIT}?action=user.updated**")
    await table.get_by_text("1 field").click()

    await expect(table.locator("ins")).to_contain_text("Root xxx")


async def test_an_actor_leads_to_what_they_did(table):
    await table.get_by_role("cell").get_by_role("link", name="root", exact=True).first.click()

    await expect(table.get_by_label("Actor")).to_have_value("user:1")


async def test_the_page_works_without_scripts(open_page, root, change):
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, AUDIT)
    await page.get_by_label("Action").select_option("user.created")
    await page.get_by_role("button", name="Show").click()

    await expect(page.locator("tbody tr")).to_have_count(1)


async def test_the_code_for_a_program_is_copied_and_stays_open_with_another_filter(
    open_page, root, change
):
    page = await open_page(permissions=["clipboard-read", "clipboard-write"])
    await log_in(page, root, f"{AUDIT}?action=user.updated")
    await page.get_by_text("As API").click()
    await page.get_by_role("button", name="Copy curl").click()
    await expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    await page.get_by_label("Action").select_option("user.created")
    curl = page.get_by_role("region", name="curl")
    await expect(curl).to_contain_text("/api/v1/audit?action=user.created&")
    await expect(curl).to_be_visible()

    assert copied.startswith("curl -H ")
    assert "/api/v1/audit?action=user.updated&" in copied
    assert await violations(page) == []


async def test_the_code_for_a_program_is_shown_without_scripts(open_page, root):
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, AUDIT)
    await page.get_by_text("As API").click()

    await expect(page.get_by_role("region", name="TypeScript")).to_contain_text("await fetch(")
    await expect(page.get_by_role("button", name="Copy curl")).to_be_hidden()


@pytest.mark.parametrize("view", VIEWS)
async def test_the_view_is_accessible_and_fits_a_phone(open_page, root, change, view):
    await assert_accessible(open_page, root, VIEWS[view])

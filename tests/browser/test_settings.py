"""The page of the settings as people see it."""

from playwright.async_api import expect

from tests.browser.conftest import DASHBOARD, assert_accessible, log_in, violations
from tests.conftest import Person


async def test_a_group_opens_without_scripts_and_is_accessible(open_page, root: Person):
    plain = await open_page(java_script_enabled=False)
    await log_in(plain, root)
    await plain.get_by_role("link", name="Settings").click()
    await plain.get_by_role("heading", name="Server").click()
    await expect(plain.get_by_text("seconds until a request is answered with 504")).to_be_visible()

    page = await open_page()
    await log_in(page, root, f"{DASHBOARD}/settings")
    await page.get_by_role("heading", name="Server").click()
    assert await violations(page) == []


async def test_the_view_is_accessible_and_fits_a_phone(open_page, root: Person):
    await assert_accessible(open_page, root, f"{DASHBOARD}/settings")

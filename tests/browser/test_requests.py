"""The page of recent requests as people see it."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import DASHBOARD, assert_accessible, log_in
from tests.conftest import Person

REQUESTS = f"{DASHBOARD}/requests"


@pytest.fixture
async def traffic(root: Person, ada: Person) -> str:
    """Some requests. Returns the id of one that was refused."""
    await root.get("/users")
    await ada.get("/users/me")
    refused = await ada.get("/users/999999")
    return refused.headers["X-Request-ID"]


async def test_an_error_is_found_by_its_id_in_a_search_without_a_click(
    page: Page, root: Person, traffic: str
):
    await log_in(page, root, REQUESTS)
    await page.get_by_label("Request id").fill(traffic)
    await page.get_by_label("Request id").press("Enter")
    await page.wait_for_url(f"**{REQUESTS}?id={traffic}**")

    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator("tbody tr")).to_contain_text("/api/v1/users/{user_id}")


async def test_the_view_is_accessible_and_fits_a_phone(open_page, root: Person, traffic: str):
    await assert_accessible(open_page, root, REQUESTS)

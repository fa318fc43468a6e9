"""The pages of roles and API keys as people see them."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import DASHBOARD, assert_accessible, log_in
from tests.integration.test_api_keys import robot_of
from tests.integration.test_roles import give

VIEWS = {
    "matrix": f"{DASHBOARD}/roles",
    "new role": f"{DASHBOARD}/roles/new",
    "roles of a user": f"{DASHBOARD}/users/2/roles",
    "keys of a user": f"{DASHBOARD}/users/2/keys",
    "revocation": f"{DASHBOARD}/users/2/keys/00000000-0000-4000-8000-000000000000/revoke",
}


@pytest.mark.parametrize("view", VIEWS)
async def test_the_view_is_accessible_and_fits_a_phone(open_page, root, ada, view):
    await give(root, ada, "users:read")
    await robot_of(ada, "users:read", name="A long name of a key, " * 4)

    await assert_accessible(open_page, root, VIEWS[view])


async def test_a_role_is_made_and_given_without_scripts(open_page, root, ada):
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, f"{DASHBOARD}/roles")

    await page.get_by_role("link", name="New role").click()
    await page.get_by_label("Name").fill("support")
    await page.get_by_label("users:read").check()
    await page.get_by_role("button", name="Create role").click()
    await page.goto(f"{DASHBOARD}/users/{ada.id}/roles")
    await page.get_by_label("support").check()
    await page.get_by_role("button", name="Save").click()

    await expect(page.get_by_role("status").first).to_have_text("Saved the roles of ada")
    assert (await ada.get("/users")).status_code == 200


async def test_a_role_sees_its_pages_alone(page, root, ada):
    await give(root, ada, "users:read", "sessions:read")
    await log_in(page, ada, f"{DASHBOARD}/users")

    await expect(page.get_by_role("navigation", name="Views").get_by_role("link")).to_have_text(
        ["Users"]
    )
    await expect(page.get_by_role("link", name="New user")).to_have_count(0)
    await expect(page.get_by_role("button", name="Delete")).to_have_count(0)

"""The pages in German, in a browser."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import DASHBOARD, PHONE, THEMES, OpenPage, log_in, overflow, violations

VIEWS = ("", "/users", "/users/1", "/invitations/new", "/roles", "/settings", "/users/999")


@pytest.mark.parametrize("view", VIEWS)
async def test_a_german_view_is_accessible_and_fits_a_phone(open_page: OpenPage, root, watch, view):
    watch.expect_status(404)
    page = await open_page(reduced_motion="reduce", viewport=PHONE)
    await log_in(page, root)
    await page.get_by_role("button", name="Deutsch").click()
    await page.goto(f"{DASHBOARD}{view}")

    assert await page.locator("html").get_attribute("lang") == "de"
    assert await overflow(page) == 0
    for scheme in THEMES:
        await page.emulate_media(color_scheme=scheme)
        assert await violations(page) == []


async def test_a_language_is_chosen_by_keyboard_without_scripts(open_page: OpenPage, root):
    page = await open_page(java_script_enabled=False)
    await page.goto("/account/login")
    await page.get_by_role("button", name="Deutsch").press("Enter")

    await expect(page.get_by_role("heading", name="Anmelden")).to_be_visible()
    await page.get_by_role("button", name="English").press("Enter")
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()


async def test_scripts_speak_the_language_of_the_page(open_page: OpenPage, root):
    page = await open_page(locale="de-DE")
    await page.goto(f"{DASHBOARD}/users")
    await page.get_by_label("E-Mail-Adresse oder Benutzername").fill(root.email)
    await page.get_by_label("Passwort").fill(root.password)
    await page.get_by_role("button", name="Anmelden").click()

    await page.get_by_label("root auswählen").check()

    await expect(page.locator("[data-selected]")).to_have_text("1 ausgewählt")

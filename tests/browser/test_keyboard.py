"""The pages by keyboard: shortcuts and the palette."""

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import DASHBOARD, PHONE, THEMES, log_in, overflow, violations
from tests.browser.people import sixty
from tests.conftest import Person
from tests.integration.test_roles import give

USERS = f"{DASHBOARD}/users"
MAX_BYTES, MAX_REQUESTS = 60_000, 10
"""Of the users page, as a browser loads it for the first time."""


@pytest.fixture
async def desk(page: Page, root: Person, ada: Person, bob: Person) -> Page:
    """The users view, `root` being logged in: the rows are bob, ada and root."""
    await log_in(page, root, USERS)
    return page


def row(page: Page, name: str) -> Locator:
    return page.locator("#users").get_by_role("link", name=name)


def palette(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Palette")


def marked(page: Page) -> Locator:
    return palette(page).get_by_role("option", selected=True)


async def test_rows_are_walked_selected_edited_and_opened(desk):
    press, drawer = desk.keyboard.press, desk.get_by_role("dialog", name="User")
    await press("j")
    await expect(row(desk, "bob")).to_be_focused()
    await press("j")
    await press("k")
    await press("k")
    await expect(row(desk, "bob")).to_be_focused()
    await press("j")
    await press("x")
    await expect(desk.get_by_label("Select ada")).to_be_checked()
    await press("e")

    await expect(drawer.get_by_label("Username")).to_have_value("ada")
    await expect(drawer.get_by_label("Email")).to_be_focused()
    await press("End")
    await desk.keyboard.type("jx?/")
    await expect(drawer.get_by_label("Email")).to_have_value("ada@example.comjx?/")
    await press("ControlOrMeta+z")
    await drawer.get_by_label("Email").fill("ada@example.com")
    await press("Escape")
    await expect(drawer).to_be_hidden()
    await expect(row(desk, "ada")).to_be_focused()
    await press("Enter")
    await expect(drawer.get_by_role("heading", name="ada")).to_be_visible()
    await press("Escape")
    await expect(row(desk, "ada")).to_be_focused()


async def test_enter_on_a_box_sends_no_form(desk):
    """Issue 22: it asked to activate whoever was selected."""
    box = desk.get_by_label("Select ada")
    await box.check()

    await box.press("Enter")
    await desk.keyboard.press("/")

    await expect(desk.get_by_label("Search", exact=True)).to_be_focused()
    assert desk.url.endswith(USERS)
    await desk.keyboard.type("j?ada")
    await expect(desk.get_by_label("Search", exact=True)).to_have_value("j?ada")


async def test_a_user_is_found_by_the_palette_and_opened_beside_the_list(desk):
    await row(desk, "bob").focus()
    await desk.keyboard.press("ControlOrMeta+k")
    await expect(marked(desk)).to_have_text("Overview")
    await desk.keyboard.press("ArrowUp")
    await expect(marked(desk)).to_have_text("Imports and exports")
    await desk.keyboard.press("ArrowDown")
    await desk.keyboard.type("ad")
    await desk.keyboard.press("Enter")  # before the answer

    await expect(palette(desk)).to_be_hidden()
    user = desk.get_by_role("dialog", name="User")
    await expect(user.get_by_role("heading", name="ada")).to_be_visible()
    await desk.keyboard.press("Escape")
    await expect(row(desk, "bob")).to_be_focused()


async def test_views_and_actions_are_reached_from_every_page(root_page, ada):
    await root_page.keyboard.press("/")
    await expect(marked(root_page)).to_have_text("Overview")
    await root_page.keyboard.type("audit")
    await expect(marked(root_page)).to_have_text("Audit")
    await root_page.keyboard.press("Enter")
    await root_page.wait_for_url("**/audit")
    await root_page.keyboard.press("ControlOrMeta+k")
    await palette(root_page).get_by_role("option", name="New user").click()
    await root_page.wait_for_url("**/users/new")
    await root_page.keyboard.press("ControlOrMeta+k")
    await root_page.keyboard.type("ada")
    await palette(root_page).get_by_role("option", name="ada").click()

    await root_page.wait_for_url(f"**/users/{ada.id}")
    await root_page.keyboard.press("ControlOrMeta+k")
    await root_page.keyboard.type("no such thing")
    await expect(palette(root_page).get_by_text("Nothing found")).to_be_visible()
    await root_page.keyboard.press("Escape")
    await expect(palette(root_page)).to_be_hidden()


async def test_a_setting_is_reached_from_every_page(root_page):
    await root_page.keyboard.press("ControlOrMeta+k")
    await root_page.keyboard.type("mail link base")
    await expect(marked(root_page)).to_contain_text("MAIL_LINK_BASE_URL")
    await root_page.keyboard.press("Enter")

    setting = root_page.locator("#MAIL_LINK_BASE_URL")
    await expect(setting).to_be_in_viewport()
    await expect(setting).to_contain_text("beginning of the links in mails")


async def test_a_search_that_failed_says_so_and_leads_nowhere(desk, watch):
    watch.expected |= {"ERR_INTERNET_DISCONNECTED", "htmx:"}
    await desk.keyboard.press("ControlOrMeta+k")
    await expect(marked(desk)).to_have_text("Overview")
    await desk.context.set_offline(True)
    await desk.keyboard.type("audit")
    await desk.keyboard.press("Enter")

    await expect(palette(desk).get_by_text("The service does not answer")).to_be_visible()
    assert desk.url.endswith(USERS)


async def test_the_help_lists_the_shortcuts_and_switches_those_of_one_letter_off(desk):
    shown = desk.get_by_role("dialog", name="Keyboard shortcuts")
    await desk.keyboard.press("?")
    await expect(shown.get_by_text("Next row")).to_be_visible()
    await shown.get_by_label("Shortcuts of one letter").uncheck()
    await desk.keyboard.press("Escape")
    await desk.reload()
    await desk.keyboard.press("j")
    await desk.keyboard.press("?")

    await expect(shown).to_be_hidden()
    await expect(desk.locator("body")).to_be_focused()
    await desk.keyboard.press("ControlOrMeta+k")
    await expect(palette(desk)).to_be_visible()
    await desk.keyboard.press("Escape")
    await desk.get_by_role("button", name="Keyboard shortcuts").click()
    await expect(shown).to_be_visible()


async def test_who_may_not_edit_has_no_shortcut_for_it(page, root, ada, bob):
    await give(root, ada, "users:read")
    await log_in(page, ada, USERS)

    await page.keyboard.press("j")
    await page.keyboard.press("e")
    await page.keyboard.press("x")
    await page.keyboard.press("j")

    await expect(row(page, "ada")).to_be_focused()
    assert page.url.endswith(USERS)


async def test_the_focus_survives_that_the_list_is_shown_anew(desk, root, ada):
    await row(desk, "ada").focus()
    await desk.evaluate(
        "getSelection().selectAllChildren(document.querySelector('#users .cell-email'))"
    )
    selected = await desk.evaluate("String(getSelection())")
    await root.patch(f"/users/{ada.id}", json={"full_name": "Ada King"})

    await desk.evaluate(
        """htmx.ajax("GET", location.href,
        { target: "#users", select: "#users", swap: "morph:outerHTML" })"""
    )
    await expect(desk.get_by_text("Ada King")).to_be_visible()

    await expect(row(desk, "ada")).to_be_focused()
    assert selected == "bob@example.com"
    assert await desk.evaluate("String(getSelection())") == selected


async def test_both_dialogs_are_accessible_and_fit_a_small_phone(open_page, root, ada):
    page = await open_page(
        viewport={**PHONE, "width": 320}, has_touch=True, reduced_motion="reduce"
    )
    await log_in(page, root, USERS)
    for key, shown in ("?", "Next row"), ("ControlOrMeta+k", "New role"):
        await page.keyboard.press(key)
        await expect(page.locator("dialog[open]").get_by_text(shown)).to_be_visible()
        for scheme in THEMES:
            await page.emulate_media(color_scheme=scheme)
            assert await violations(page) == [], key
        assert await overflow(page) == 0, key
        await page.keyboard.press("Escape")


async def test_the_users_page_is_small(open_page, root, runtime):
    """Issue 22: 60 KB in 10 requests, of which a browser has all but the page from its cache."""
    await sixty(runtime)
    page = await open_page()
    await log_in(page, root, USERS)
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    await page.reload()

    sizes = await page.evaluate(
        """["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type))
        .filter((entry) => entry.initiatorType !== "fetch")
        .map((entry) => [entry.name, entry.transferSize])"""
    )

    assert len(sizes) <= MAX_REQUESTS, sizes
    assert 20_000 < sum(size for _, size in sizes) <= MAX_BYTES, sizes

"""Columns, density, pages, initials and ids of the table of users, as people see them."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import DASHBOARD, PHONE, THEMES, log_in, overflow, violations
from tests.browser.people import sixty
from tests.mfa import execute

USERS = f"{DASHBOARD}/users"
ALL = "&".join(
    f"column={name}"
    for name in ("email", "role", "state", "verified", "mfa", "created", "updated", "id")
)
CONTRAST = """element => {
  const levels = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
    const level = part / 255;
    return level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4;
  });
  const light = (colour) => levels(colour).reduce(
    (sum, level, at) => sum + level * [0.2126, 0.7152, 0.0722][at], 0.05);
  const style = getComputedStyle(element);
  const both = [light(style.color), light(style.backgroundColor)].sort((a, b) => a - b);
  return both[1] / both[0];
}"""


@pytest.fixture
async def table(page: Page, root, runtime) -> Page:
    """The users view with sixty users, `root` being logged in."""
    await sixty(runtime)
    await log_in(page, root, USERS)
    return page


async def headings(page: Page) -> list[str]:
    return [text.strip() for text in await page.locator("th[class^=col-]").all_text_contents()]


async def choose_and_move(page: Page) -> None:
    """Show ids, and move them before the emails, by keyboard alone."""
    await page.get_by_text("Columns and rows").focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("checkbox", name="Column Id").press("Space")
    await page.get_by_role("button", name="Apply").press("Enter")
    await page.wait_for_url(re.compile("column=id"))
    assert (await headings(page))[-1] == "Id"
    await page.get_by_text("Columns and rows").press("Enter")
    await page.get_by_role("button", name="Move Id up").press("Enter")
    await page.wait_for_url("**#up-id")
    for column in ("state", "role", "email"):
        # The button has the focus again, with the form around it open.
        await expect(page.get_by_role("button", name="Move Id up")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile(f"column=id&column={column}"))


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_columns_are_chosen_and_moved_by_keyboard(open_page, root, scripts):
    page = await open_page(java_script_enabled=scripts)
    await log_in(page, root, USERS)
    await choose_and_move(page)

    assert await headings(page) == ["User", "Id", "Email", "Role", "State", "Created"]
    await page.goto(USERS)
    assert await headings(page) == ["User", "Id", "Email", "Role", "State", "Created"]
    await page.get_by_text("Columns and rows").click()
    await page.get_by_role("button", name="Use the defaults").click()
    await page.wait_for_url(f"**{USERS}")
    assert await headings(page) == ["User", "Email", "Role", "State", "Created"]


async def test_compact_rows_are_lower_and_a_search_keeps_them(table):
    row = table.get_by_role("row", name="user58")
    usual = await row.bounding_box()
    await table.get_by_text("Columns and rows").click()
    await table.get_by_label("Density").select_option("Compact")
    await table.get_by_label("Rows per page").select_option("100")
    await table.get_by_role("button", name="Apply").click()
    await table.wait_for_url("**/users?size=100&density=compact")
    lower = await row.bounding_box()
    await expect(table.locator("#count")).to_have_text("1 to 61 of 61 users")
    await table.get_by_label("Search").fill("user5")
    await table.wait_for_url("**search=user5**")

    assert usual is not None
    assert lower is not None
    assert lower["height"] < usual["height"]
    await expect(table.locator("table.is-compact tbody tr")).to_have_count(10)
    assert "density=compact" in table.url


async def test_first_and_last_lead_to_the_ends(table):
    pages = table.get_by_role("navigation", name="Pages")
    await pages.get_by_role("link", name="Last").click()
    await expect(table.locator("#count")).to_have_text("51 to 61 of 61 users")
    await pages.get_by_role("link", name="First").click()

    await expect(table.locator("#count")).to_have_text("1 to 25 of 61 users")


async def test_the_table_uses_a_wide_screen(open_page, root):
    page = await open_page(viewport={"width": 2200, "height": 900})
    await log_in(page, root, USERS)

    box = await page.locator("table.users").bounding_box()

    assert box is not None
    assert box["width"] > 2000


@pytest.mark.parametrize("place", ["the table", "the page of a user"])
async def test_an_id_is_copied_and_that_is_announced(open_page, root, place):
    page = await open_page(permissions=["clipboard-read", "clipboard-write"])
    paths = {"the table": f"{USERS}?column=id", "the page of a user": f"{USERS}/{root.id}"}
    await log_in(page, root, paths[place])

    await page.get_by_role("button", name="Copy the id of root").press("Enter")

    await expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == str(root.id)


async def test_an_id_is_copied_after_a_search_and_in_the_drawer(open_page, root, ada):
    page = await open_page(permissions=["clipboard-read", "clipboard-write"])
    await log_in(page, root, f"{USERS}?column=id")
    await page.get_by_label("Search").fill("ada")
    copy = page.get_by_role("button", name="Copy the id of ada")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await copy.click()
    await expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == str(ada.id)

    await page.locator("tbody th a").click()

    await expect(page.locator("#drawer").get_by_role("button", name="Copy the id")).to_be_visible()


async def test_without_scripts_an_id_is_text(open_page, root):
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, f"{USERS}?column=id")

    await expect(page.locator("tbody code")).to_have_text(str(root.id))
    await expect(page.locator("tbody [data-copy]")).to_be_hidden()


async def test_initials_are_whole_characters_that_are_legible_in_both_themes(
    open_page, root, runtime
):
    await sixty(runtime)
    for number, name in enumerate(("عمر خالد", "👩\u200d💻 Root", "İsmail Işık")):
        change = f"UPDATE users SET full_name = '{name}' WHERE username = 'user{number:02}'"
        await execute(runtime, change)
    page = await open_page(reduced_motion="reduce")
    await log_in(page, root, f"{USERS}?sort_by=username&sort_order=asc")
    marks = page.locator(".initials")

    shown = [text.replace("\u200c", "") for text in await marks.all_text_contents()]
    assert shown[:5] == ["r", "عخ", "👩\u200d💻R", "İI", "u"]
    assert {await marks.nth(at).get_attribute("aria-hidden") for at in range(6)} == {"true"}
    for scheme in THEMES:
        await page.emulate_media(color_scheme=scheme)
        contrasts = [await marks.nth(at).evaluate(CONTRAST) for at in range(12)]
        assert min(contrasts) >= 4.5, scheme
        assert len(set(contrasts)) >= 6


SIZES: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 800}},
    "tablet": {"viewport": {"width": 700, "height": 800}},
    "phone": {"viewport": {**PHONE, "width": 320}, "has_touch": True},
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("query", [ALL, "column=username&density=compact"], ids=["all", "one"])
async def test_any_choice_of_columns_is_accessible_and_fits(open_page, root, runtime, size, query):
    await sixty(runtime)
    page = await open_page(reduced_motion="reduce", **SIZES[size])
    await log_in(page, root, f"{USERS}?{query}")
    await page.get_by_text("Columns and rows").click()

    for scheme in THEMES:
        await page.emulate_media(color_scheme=scheme)
        assert await violations(page) == []
    assert await overflow(page) == 0

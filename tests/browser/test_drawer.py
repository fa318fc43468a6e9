"""The drawer of a user, as people see it: the list behind it stays as it is."""

import pytest
from playwright.async_api import Dialog, Locator, Page, expect
from sqlalchemy import update

from app.models import Session
from app.runtime import Runtime
from tests.browser.conftest import DASHBOARD, PHONE, THEMES, log_in, overflow, violations
from tests.browser.people import sixty
from tests.conftest import Person

USERS = f"{DASHBOARD}/users"
FILTER = f"{USERS}?search=user&is_superuser=false&page=2"
TABS = ("View", "Edit", "Sessions", "Keys", "History", "JSON")


@pytest.fixture
async def table(page: Page, root: Person, runtime: Runtime) -> Page:
    """The second page of a filtered list, scrolled, of which two users are selected."""
    await sixty(runtime)
    await log_in(page, root, FILTER)
    await page.get_by_label("Select user30").check()
    await page.get_by_label("Select user20").check()
    await row(page, "user12").scroll_into_view_if_needed()
    return page


def row(page: Page, name: str) -> Locator:
    return page.locator("#users").get_by_role("link", name=name)


def drawer(page: Page) -> Locator:
    return page.get_by_role("dialog", name="User")


async def open_drawer(page: Page, name: str) -> Locator:
    await row(page, name).click()
    await expect(drawer(page).get_by_role("heading", name=name)).to_be_visible()
    return drawer(page)


async def place(page: Page) -> tuple[str, int]:
    """The address and how far the list is scrolled."""
    return page.url, await page.evaluate("Math.round(scrollY)")


async def is_at(page: Page, before: tuple[str, int]) -> None:
    """Wait for a place: the browser scrolls a moment after it went back."""
    await page.wait_for_function(
        "([url, y]) => url === location.href && y === Math.round(scrollY)", arg=before
    )


async def test_the_list_behind_stays_as_it_is(table):
    before = await place(table)
    assert before[1] > 0

    user = await open_drawer(table, "user12")
    opened = table.url.partition("?")[0]
    await table.keyboard.press("Escape")
    await expect(user).to_be_hidden()
    await expect(row(table, "user12")).to_be_focused()
    await is_at(table, before)
    await open_drawer(table, "user12")
    await user.get_by_role("link", name="History").click()
    await expect(user.get_by_role("link", name="History")).to_have_attribute("aria-current", "page")
    await table.wait_for_url("**/history?**")
    assert table.url.partition("/history")[0] == opened
    await table.go_back()

    await expect(user).to_be_hidden()
    await expect(row(table, "user12")).to_be_focused()
    await expect(table.get_by_text("2 selected")).to_be_visible()
    await is_at(table, before)
    assert await table.title() == "Users · Backend API"
    await table.go_forward()
    await expect(user.get_by_role("heading", name="user12")).to_be_visible()
    await table.reload()
    await expect(table.get_by_role("heading", name="user12")).to_be_visible()
    await expect(user).to_have_count(0)
    await table.go_back()
    await expect(row(table, "user12")).to_be_visible()
    assert table.url == before[0]


async def test_what_is_saved_is_shown_in_the_list_whose_selection_stays(table, root):
    user = await open_drawer(table, "user12")
    await user.get_by_role("link", name="Edit").click()
    await expect(user.get_by_label("Email")).to_be_focused()
    await user.get_by_label("Username").fill("user12b")
    await table.keyboard.press("Enter")

    await expect(user.get_by_role("status").first).to_have_text("Saved user12b")
    await expect(row(table, "user12b")).to_be_visible()
    await user.get_by_role("button", name="Close").click()
    await expect(row(table, "user12b")).to_be_focused()
    await expect(table.get_by_text("2 selected")).to_be_visible()
    await expect(table.get_by_label("Select user30")).to_be_checked()


async def test_what_was_typed_is_left_after_a_question_alone(table, watch):
    watch.expect_status(422)
    asked: list[str] = []
    stays = True

    async def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await (dialog.dismiss() if stays else dialog.accept())

    table.on("dialog", answer)
    user = await open_drawer(table, "user12")
    await user.get_by_role("link", name="Edit").click()
    email = user.get_by_label("Email")
    await email.fill("nobody")

    await table.keyboard.press("Escape")
    await user.get_by_role("link", name="History").click()
    await table.go_back()
    await user.get_by_role("button", name="Save").click()
    await expect(email).to_have_attribute("aria-invalid", "true")
    await expect(email).to_be_focused()
    await table.keyboard.press("Escape")

    await expect(email).to_have_value("nobody")
    assert len(asked) == 4
    assert "/edit" in table.url
    stays = False
    await table.keyboard.press("Escape")
    await expect(user).to_be_hidden()
    assert table.url.endswith(FILTER)


async def test_a_form_comes_back_after_a_login(table, root, runtime, watch):
    watch.expect_status(401)
    user = await open_drawer(table, "user12")
    await user.get_by_role("link", name="Edit").click()
    await user.get_by_label("Full name").fill("Grace Hopper")
    async with runtime.session_maker() as db:
        await db.execute(update(Session).values(expires_at=Session.created_at))
        await db.commit()
    await runtime.cache.redis.flushdb()

    await user.get_by_role("button", name="Save").click()
    await table.get_by_label("Email or username").fill(root.email)
    await table.get_by_label("Password").fill(root.password)
    await table.get_by_role("button", name="Log in").click()

    await expect(table.get_by_label("Full name")).to_have_value("Grace Hopper")
    await expect(table.get_by_role("alert")).to_contain_text("Not saved yet")


@pytest.mark.timeout(300)
async def test_every_tab_is_accessible_and_fits_a_small_phone(open_page, root, ada):
    page = await open_page(
        viewport={**PHONE, "width": 320}, has_touch=True, reduced_motion="reduce"
    )
    await log_in(page, root, USERS)
    user = await open_drawer(page, "ada")
    box = await user.bounding_box()
    assert box is not None
    assert box["width"] == 320

    for tab in TABS:
        await user.get_by_role("link", name=tab, exact=True).click()
        await expect(user.locator("[aria-current]")).to_have_text(tab)
        for scheme in THEMES:
            await page.emulate_media(color_scheme=scheme)
            assert await violations(page) == [], tab
        assert await overflow(page) == 0, tab
        assert await user.evaluate("it => it.scrollWidth - it.clientWidth") == 0, tab


async def test_without_scripts_a_row_leads_to_the_page(open_page, root, ada):
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, f"{USERS}?search=ada")

    await page.get_by_role("link", name="ada", exact=True).click()
    await page.get_by_role("link", name="JSON").click()
    await expect(page.get_by_role("region", name="JSON")).to_contain_text('"username": "ada"')
    await page.get_by_role("link", name="Users", exact=True).last.click()

    await expect(page.get_by_label("Search")).to_have_value("ada")

"""The selection of users: across pages, in a bar that stays in view, and of all that match."""

import pytest
from playwright.async_api import Page, expect

from app.worker.worker import running_jobs
from tests.browser.conftest import DASHBOARD, PHONE, held_back, log_in, overflow, violations
from tests.browser.people import sixty

USERS = f"{DASHBOARD}/users"
LIST = f"{USERS}?search=user&sort_by=username&sort_order=asc"


@pytest.fixture
async def desk(page: Page, root, runtime) -> Page:
    """The first page of sixty users, `root` being logged in."""
    await sixty(runtime)
    await log_in(page, root, LIST)
    return page


async def test_boxes_that_are_checked_before_the_scripts_come_stay_so(desk):
    await desk.get_by_label("Select user02").check()
    come = await held_back(desk, "**/users.js")
    await desk.goto(f"{LIST}&size=25", wait_until="commit")
    await desk.get_by_label("Select user01").check()
    come.set()

    await expect(desk.locator("[data-selected]")).to_have_text("2 selected")
    for name in ("user01", "user02"):
        await expect(desk.get_by_label(f"Select {name}")).to_be_checked()


async def next_page(page: Page, first: str) -> None:
    await page.get_by_role("link", name="Next").click()
    await expect(page.get_by_label(f"Select {first}")).to_be_visible()


async def test_a_selection_survives_paging_sorting_searching_and_a_reload(desk):
    note = desk.locator("[data-selected]")
    await desk.get_by_label("Select user01").check()
    await next_page(desk, "user25")
    await expect(note).to_have_text("1 selected")
    await desk.get_by_label("Select user26").check()
    await desk.get_by_label("Search").fill("user0")
    await expect(desk.get_by_label("Select user01")).to_be_checked()
    await expect(note).to_have_text("2 selected")
    await desk.get_by_role("link", name="Email").click()
    await desk.reload()
    await expect(note).to_have_text("2 selected")

    await desk.get_by_role("button", name="Activate", exact=True).click()
    await expect(desk.get_by_role("heading", name="Activate 2 users?")).to_be_visible()
    await desk.get_by_role("link", name="Cancel").click()
    await expect(note).to_have_text("2 selected")
    await desk.get_by_role("button", name="Deactivate").click()
    await desk.get_by_role("button", name="Deactivate 2 users").click()

    await expect(desk.get_by_text("Deactivated user01 and user26")).to_be_visible()
    await expect(note).to_have_text("None selected")


async def test_clear_ends_the_selection_of_all_pages_by_keyboard(desk):
    await desk.get_by_label("Select user01").check()
    await next_page(desk, "user25")
    clear = desk.get_by_role("button", name="Clear")
    await clear.focus()
    await desk.keyboard.press("Enter")

    await expect(desk.locator("[data-selected]")).to_have_text("None selected")
    await expect(clear).to_be_hidden()
    await expect(desk.get_by_label("Select all on this page")).to_be_focused()
    await desk.get_by_role("link", name="Previous").click()
    await expect(desk.get_by_label("Select user01")).not_to_be_checked()


async def test_all_that_match_are_selected_changed_and_changed_back(desk, runtime):
    matching = desk.get_by_label("All 60 users that match")
    await expect(matching).to_be_hidden()
    await desk.get_by_label("Select all on this page").check()
    await matching.check()
    await expect(desk.locator("[data-selected]")).to_have_text("All 60 users that match selected")
    await desk.get_by_role("button", name="Deactivate").click()
    await expect(desk.get_by_text("It can be undone for a week")).to_be_visible()
    assert await violations(desk) == []
    await desk.get_by_role("button", name="Deactivate 60 users").click()
    await expect(desk.get_by_role("progressbar")).to_be_visible()
    assert await violations(desk) == []
    async with running_jobs(runtime):
        done = "60 of 60 users: 40 changed, 20 were so already, 0 refused"
        await expect(desk.get_by_text(done)).to_be_visible()
        await desk.get_by_role("button", name="Undo").click()
        await expect(desk.get_by_role("heading", name="Undo: Activate 40 users")).to_be_visible()
        await expect(desk.get_by_text("40 of 40 users: 40 changed")).to_be_visible()

    await desk.get_by_role("link", name="Actions on many users").click()
    await expect(desk.get_by_role("link", name="Deactivate 60 users")).to_be_visible()
    assert await violations(desk) == []


async def test_a_box_that_is_unchecked_ends_the_selection_of_all_that_match(desk):
    matching = desk.get_by_label("All 60 users that match")
    await desk.get_by_label("Select all on this page").check()
    await matching.check()

    await desk.get_by_label("Select user01").uncheck()

    await expect(matching).to_be_hidden()
    await expect(desk.locator("[data-selected]")).to_have_text("24 selected")


async def test_the_bar_stays_in_view_and_covers_no_row_that_has_the_focus(desk):
    await desk.set_viewport_size({"width": 1000, "height": 500})
    await desk.get_by_label("Select user01").check()
    await desk.get_by_label("Select user24").scroll_into_view_if_needed()
    await expect(desk.get_by_role("button", name="Deactivate")).to_be_in_viewport()
    await desk.get_by_label("Select user24").focus()
    for _ in range(20):
        await desk.keyboard.press("k")

    assert await uncovered(desk)
    assert await violations(desk) == []


async def test_on_a_phone_the_bar_is_at_the_bottom_and_covers_nothing(open_page, root, runtime):
    await sixty(runtime)
    phone = await open_page(viewport=PHONE, has_touch=True, reduced_motion="reduce")
    await log_in(phone, root, LIST)
    await phone.get_by_label("Select all on this page").check()
    await expect(phone.get_by_role("button", name="Deactivate")).to_be_in_viewport()
    await expect(phone.get_by_label("All 60 users that match")).to_be_in_viewport()
    await phone.set_viewport_size({"width": 320, "height": 640})
    await phone.evaluate("scrollTo(0, document.body.scrollHeight)")
    last = await phone.locator(".as-api summary").bounding_box()
    bar = await phone.locator(".selection").bounding_box()
    await phone.get_by_role("link", name="Next").focus()

    assert last is not None
    assert bar is not None
    assert last["y"] + last["height"] <= bar["y"]
    assert await uncovered(phone)
    assert await overflow(phone) == 0
    assert await violations(phone) == []
    await phone.emulate_media(color_scheme="dark")
    assert await violations(phone) == []


async def uncovered(page: Page) -> bool:
    """Whether what has the focus is seen, and not behind the bar."""
    is_seen: bool = await page.evaluate(
        """() => {
            const focused = document.activeElement;
            const box = focused.getBoundingClientRect();
            const found = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return focused.contains(found) || found.contains(focused);
        }"""
    )
    return is_seen


async def test_without_scripts_all_that_match_are_deactivated(open_page, root, runtime):
    await sixty(runtime)
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, LIST)
    await page.get_by_label("All 60 users that match").check()
    await page.get_by_role("button", name="Deactivate").click()
    await page.get_by_role("button", name="Deactivate 60 users").click()
    await expect(page.get_by_text("0 of 60 users")).to_be_visible()
    await page.get_by_role("link", name="Show the progress now").click()
    await page.get_by_role("button", name="Stop").click()

    await expect(page.get_by_text("It was stopped.")).to_be_visible()


async def test_another_admin_in_the_same_tab_has_no_selection(desk, client, runtime):
    await desk.get_by_label("Select user01").check()
    await desk.evaluate(
        "sessionStorage.selection = sessionStorage.selection.replace(/^.../, '[\"9')"
    )
    await desk.reload()

    await expect(desk.locator("[data-selected]")).to_have_text("None selected")

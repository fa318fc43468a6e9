"""The table of users as people see it."""

import csv
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from app.services.user import totals
from tests.browser.conftest import (
    DASHBOARD,
    PHONE,
    assert_accessible,
    log_in,
    overflow,
    violations,
)
from tests.browser.people import LONG, sixty
from tests.mfa import execute

USERS = f"{DASHBOARD}/users"
VIEWS = {
    "users": f"{USERS}?is_active=false&created_to=2100-01-01&search=user",
    "nobody": f"{USERS}?search=nobody",
    "no such page": f"{USERS}?page=99",
}


@pytest.fixture
async def people(root, runtime) -> None:
    """Sixty users beside `root`."""
    await sixty(runtime)


@pytest.fixture
async def table(page: Page, root, people) -> Page:
    """The users view, `root` being logged in."""
    await log_in(page, root, USERS)
    return page


def names(page: Page) -> Locator:
    return page.locator("tbody th a")


def usernames_in(file: Path) -> list[str]:
    with file.open(encoding="utf-8", newline="") as rows:
        return [row["username"] for row in csv.DictReader(rows)]


async def test_the_navigation_leads_to_the_table(root_page, root):
    await root_page.get_by_role("link", name="Users", exact=True).click()

    await expect(root_page.get_by_role("heading", name="Users")).to_be_visible()
    await expect(root_page.get_by_role("row", name="root").first).to_contain_text(root.email)
    await expect(root_page.locator("#count")).to_have_text("1 to 1 of 1 user")


async def test_a_search_shows_while_it_is_typed_and_survives_a_reload(table):
    await table.get_by_label("Search").fill("user1")
    await expect(names(table)).to_have_count(10)
    address = table.url
    await table.reload()

    await expect(names(table)).to_have_count(10)
    await expect(table.get_by_label("Search")).to_have_value("user1")
    await expect(table.locator("#count")).to_have_text("1 to 10 of 10 users")
    assert address.endswith(f"{USERS}?search=user1")


async def test_filters_work_together_and_are_in_the_address(table):
    await table.get_by_label("State", exact=True).select_option("Inactive")
    await table.get_by_label("Search").fill("@even")
    await table.get_by_label("Access").select_option("Other users")
    await table.wait_for_url("**/users?search=%40even&is_active=false&is_superuser=false")
    await table.reload()

    await expect(names(table)).to_have_count(10)
    await expect(table.get_by_label("State", exact=True)).to_have_value("false")


async def test_chips_follow_the_filters_and_remove_them_by_keyboard(table):
    chips = table.get_by_role("list", name="Filters in use").get_by_role("listitem")
    await expect(chips).to_have_count(0)

    await table.get_by_label("State", exact=True).select_option("Inactive")
    await expect(chips).to_have_text(["Remove State: Inactive", "Clear all"])
    await table.get_by_text("More filters").click()
    await table.get_by_label("Created to").fill("2100-01-01")
    await expect(chips).to_have_count(3)
    await table.get_by_role("link", name="Remove State: Inactive").press("Enter")

    await table.wait_for_url("**/users?created_to=2100-01-01")
    await expect(chips).to_have_text(["Remove Created to: 1 Jan 2100", "Clear all"])
    await expect(table.get_by_label("State", exact=True)).to_have_value("")
    await table.get_by_role("link", name="Clear all").press("Enter")
    await expect(chips).to_have_count(0)
    await expect(names(table)).to_have_count(25)


async def test_a_list_is_saved_as_a_view_that_is_marked_while_it_is_shown(table):
    views = table.get_by_role("navigation", name="Saved views")
    await table.get_by_label("State", exact=True).select_option("Inactive")
    await views.get_by_role("link", name="Save as a view").press("Enter")
    await table.get_by_label("Name").fill("Asleep")
    assert await violations(table) == []
    await table.get_by_label("Name").press("Enter")

    await table.wait_for_url("**/users?is_active=false")
    current = views.locator("[aria-current=page]")
    await expect(current).to_have_text("Asleep")
    await table.get_by_label("State", exact=True).select_option("Active")
    await expect(current).to_have_count(0)
    await table.get_by_label("State", exact=True).select_option("All")
    await expect(current).to_have_text("All")
    assert await violations(table) == []


async def test_users_are_filtered_by_whether_their_email_is_verified(table, runtime):
    await execute(runtime, "UPDATE users SET email_verified_at = now() WHERE username = 'user17'")

    await table.get_by_label("Email", exact=True).select_option("Verified")
    await expect(names(table)).to_have_text(["user17"])
    await names(table).click()

    verified = table.get_by_role("term").filter(has_text="Email verified")
    await expect(verified.locator("+ dd")).to_contain_text("UTC")


async def test_a_heading_sorts_and_sorts_the_other_way_round(table):
    heading = table.get_by_role("columnheader", name="Email")

    await heading.get_by_role("link").click()
    await expect(heading).to_have_attribute("aria-sort", "ascending")
    first = await names(table).all_text_contents()
    await heading.get_by_role("link").click()
    await expect(heading).to_have_attribute("aria-sort", "descending")
    last = await names(table).all_text_contents()

    assert first[:2] == ["root", "user00"]
    assert last[:2] == ["user59", "user58"]


async def test_pages_keep_the_filter_and_the_order_and_miss_no_user(table):
    await table.goto(f"{USERS}?search=user&sort_by=username&sort_order=asc")
    seen = await names(table).all_text_contents()
    for page in (2, 3):
        await table.get_by_role("link", name="Next").click()
        await table.wait_for_url(f"**&page={page}")
        seen += await names(table).all_text_contents()

    assert seen == [f"user{number:02}" for number in range(60)]
    await expect(table.get_by_role("link", name="Next")).to_have_count(0)
    await expect(table.locator("#count")).to_have_text("51 to 60 of 60 users")


async def test_a_total_that_is_estimated_is_said_to_be_so(table, monkeypatch):
    monkeypatch.setattr(totals, "COUNT_LIMIT", 20)
    monkeypatch.setattr(totals, "MAX_COLLECTED", 20)
    monkeypatch.setattr(totals, "SMALL_TABLE", 20)
    count = table.locator("#count")

    await table.goto(f"{USERS}?search=user")
    await expect(count).to_contain_text("of about")

    await expect(count).to_contain_text("users, estimated")
    await expect(table.get_by_role("link", name="Next")).to_be_visible()


async def test_a_search_without_a_match_says_so(table):
    await table.get_by_label("Search").fill("nobody")

    await expect(table.get_by_text("No users match.")).to_be_visible()
    await table.get_by_role("link", name="Show all users").click()
    await expect(names(table)).to_have_count(25)


async def test_a_long_name_is_cut_short_and_its_title_is_whole(table):
    name = table.get_by_text(LONG)

    await expect(name).to_have_attribute("title", LONG)
    assert await overflow(table) == 0


async def test_the_file_holds_whom_the_filter_leaves(table):
    await table.goto(f"{USERS}?search=%40odd&is_active=false&sort_by=username&sort_order=asc")

    async with table.expect_download() as download:
        await table.get_by_role("link", name="CSV of these users").click()
    file = await download.value
    shown = await names(table).all_text_contents()

    assert usernames_in(await file.path()) == shown
    assert len(shown) == 10
    assert file.suggested_filename.startswith("users-")


async def test_the_table_works_without_scripts(open_page, root, people):
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, USERS)

    await page.get_by_label("Search").fill("user0")
    await page.get_by_label("State", exact=True).select_option("Active")
    await page.get_by_role("button", name="Search").click()

    await expect(names(page)).to_have_count(6)
    await expect(page.locator("#count")).to_have_text("1 to 6 of 6 users")


async def test_an_address_that_makes_no_sense_is_refused_in_words(table, watch):
    watch.expect_status(422)

    await table.goto(f"{USERS}?sort_by=password")

    await expect(table.get_by_role("heading")).to_have_text("Some values are not valid")


@pytest.mark.parametrize("view", VIEWS)
async def test_the_view_is_accessible_and_fits_a_phone(open_page, root, people, view):
    await assert_accessible(open_page, root, VIEWS[view])


@pytest.fixture
async def phone(open_page, root, people) -> Page:
    """The users view on a phone."""
    page: Page = await open_page(viewport=PHONE, has_touch=True)
    await log_in(page, root, USERS)
    return page


async def test_a_phone_has_boxes_for_a_finger_and_rows_of_two_lines(phone):
    """Issue 22: the boxes were 16 px wide, and a row had three lines."""
    box = await phone.get_by_label("Select user58").bounding_box()
    row = await phone.get_by_role("row", name="user58").bounding_box()
    longest = await phone.get_by_role("row", name="user59").bounding_box()

    assert box is not None
    assert row is not None
    assert longest is not None
    assert min(box["width"], box["height"]) >= 24
    assert row["height"] == longest["height"] <= 64


async def test_what_is_selected_on_a_phone_is_changed_by_a_bar_at_the_bottom(phone):
    """Issue 22: the buttons were above the list, out of sight."""
    bar = phone.locator(".selection")
    await phone.get_by_label("Select user40").check()
    await phone.get_by_label("Select user41").check()

    await expect(bar).to_be_in_viewport(ratio=1)
    place = await bar.bounding_box()
    assert place is not None
    assert place["y"] + place["height"] == PHONE["height"]
    assert await violations(phone) == []
    await phone.get_by_role("button", name="Deactivate").click()
    await expect(phone.get_by_role("heading", name="Deactivate 2 users?")).to_be_visible()


async def test_the_last_row_is_not_hidden_by_the_bar(phone):
    await phone.get_by_label("Select all on this page").check()
    await phone.get_by_role("link", name="Next").scroll_into_view_if_needed()

    await phone.get_by_role("link", name="Next").click(timeout=3_000)

    await phone.wait_for_url("**page=2")


async def test_forced_colours_show_the_view_the_order_and_the_selection(open_page, root, people):
    """Issue 22: each tab looked like the current one, and the mark of the order like a box."""
    page = await open_page(forced_colors="active")
    await log_in(page, root, USERS)
    await page.get_by_label("Select user58").check()
    line = "tab => getComputedStyle(tab).borderBottomColor"
    mark = "link => getComputedStyle(link, '::after').content"

    lines = await page.locator(".tabs a").evaluate_all(f"tabs => tabs.map({line})")
    marks = await page.locator(".sort").evaluate_all(f"links => links.map({mark})")
    row = page.get_by_role("row", name="user58")

    assert len(set(lines)) == 2
    assert lines.count(lines[1]) == 1  # the second tab is the current one
    assert [marks[0], marks[1]] == ["none", "none"]
    assert "▼" in marks[2]
    await expect(row).to_have_css("outline-style", "solid")

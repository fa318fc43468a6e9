"""The table of users as people see it."""

import csv
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from app.services.user import totals
from tests.browser.conftest import DASHBOARD, assert_accessible, log_in, overflow
from tests.browser.people import LONG, sixty
from tests.mfa import execute

USERS = f"{DASHBOARD}/users"
VIEWS = {
    "users": USERS,
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
    await root_page.get_by_role("link", name="Users").click()

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
    await table.get_by_label("State").select_option("Inactive")
    await table.get_by_label("Search").fill("@even")
    await table.get_by_label("Role").select_option("Other users")
    await table.wait_for_url("**/users?search=%40even&is_active=false&is_superuser=false")
    await table.reload()

    await expect(names(table)).to_have_count(10)
    await expect(table.get_by_label("State")).to_have_value("false")


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
    await page.get_by_label("State").select_option("Active")
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

"""How the users table is shown: its columns, density and page size, in the URL and in a cookie."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.services.user import totals
from tests.browser.people import sixty
from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in
from tests.integration.test_saved_views import links as view_links
from tests.integration.test_saved_views import save

__all__ = ["browser"]
USERS, DISPLAY = f"{PAGE}/users", f"{PAGE}/users/display"
COOKIE = "__Host-backend_display"


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


async def choose(
    admin: httpx.AsyncClient, *columns: str, query: str = "", **fields: Any
) -> httpx.Response:
    csrf = form_in(await admin.get(USERS), "/logout")["csrf"]
    data = {"csrf": csrf, "column": list(columns), **fields}
    return await admin.post(f"{DISPLAY}?{query}", data=data)


def headings(page: httpx.Response) -> list[str]:
    assert page.status_code == 200, page.text
    return re.findall(r'<th scope="col" class="col-\w+"[^>]*>(?:<a[^>]*>)?([^<]*)', page.text)


def page_links(page: httpx.Response) -> dict[str, str]:
    """URLs of other pages by the words of their links."""
    (nav,) = re.findall(r'<nav aria-label="Pages".*?</nav>', page.text, re.DOTALL)
    found = re.findall(r'href="([^"]*)">([^<]*)</a>', nav)
    return {words: unescape(url).removeprefix(USERS) for url, words in found}


async def test_columns_of_the_url_are_shown_in_their_order(admin):
    plain = await admin.get(USERS)
    chosen = await admin.get(f"{USERS}?column=id&column=updated&column=email")

    assert headings(plain) == ["User", "Email", "Role", "State", "Created"]
    assert headings(chosen) == ["User", "Id", "Changed", "Email"]


async def test_each_column_has_its_cell(admin, root):
    names = ("email", "role", "state", "verified", "mfa", "created", "updated", "id")
    page = await admin.get(USERS, params={"column": names})

    (row,) = re.findall(r'<tr id="user-.*?</tr>', page.text, re.DOTALL)
    assert headings(page) == [
        *("User", "Email", "Role", "State", "Email verified"),
        *("Second factor", "Created", "Changed", "Id"),
    ]
    assert len(re.findall(r"<t[dh][ >]", row)) == 1 + 1 + len(names)
    assert root.email in row
    assert f"<code>{root.id}</code>" in row
    assert 'data-label="Second factor">No<' in row


@pytest.mark.parametrize("query", ["column=hashed_password", "density=tiny", "size=26", "size=x"])
async def test_what_the_table_does_not_have_is_refused(admin, query):
    assert (await admin.get(f"{USERS}?{query}")).status_code == 422
    assert (await admin.post(f"{DISPLAY}?{query}", data={})).status_code == 403
    assert (await choose(admin, query=query)).status_code == 422


@pytest.mark.parametrize(
    "fields", [{"column": "hashed_password"}, {"density": "tiny"}, {"size": "1000"}, {"up": "x"}]
)
async def test_a_choice_that_is_not_offered_is_refused_and_not_stored(admin, fields):
    csrf = form_in(await admin.get(USERS), "/logout")["csrf"]

    refused = await admin.post(DISPLAY, data={"csrf": csrf, **fields})

    assert refused.status_code == 422
    assert COOKIE not in admin.cookies


async def test_a_choice_is_in_the_url_and_stored_for_this_browser(admin):
    answer = await choose(admin, "id", "email", query="search=root", density="compact", size="50")
    plain = await admin.get(USERS)

    (cookie,) = [one for one in answer.headers.get_list("Set-Cookie") if one.startswith(COOKIE)]
    name, *attributes = cookie.split("; ")
    assert answer.status_code == 303
    assert answer.headers["Location"] == (
        f"{USERS}?size=50&search=root&column=username&column=id&column=email&density=compact"
    )
    assert name == f"{COOKIE}=username.id.email|compact|50"
    assert {"HttpOnly", "SameSite=strict", "Secure", "Path=/"} <= set(attributes)
    assert headings(plain) == ["User", "Id", "Email"]
    assert 'class="users is-compact"' in plain.text
    assert '<option value="50" selected>' in plain.text


async def test_a_shared_link_shows_its_own_choice_and_does_not_replace_the_stored_one(admin):
    await choose(admin, "id", size="50")
    shared = await admin.get(f"{USERS}?column=state&size=25")

    assert headings(shared) == ["User", "State"]
    assert '<option value="25" selected>' in shared.text
    assert headings(await admin.get(USERS)) == ["User", "Id"]


async def test_the_defaults_are_not_stored(admin):
    await choose(admin, "id")
    reset = await choose(admin, "id", query="search=a&column=id", reset="true")

    assert reset.headers["Location"] == f"{USERS}?search=a"
    assert COOKIE not in admin.cookies
    assert len(headings(await admin.get(USERS))) == 5


async def test_a_cookie_that_is_not_valid_is_not_used(admin):
    admin.cookies.set(COOKIE, "hashed_password|compact|9000", domain="test.local")

    assert len(headings(await admin.get(USERS))) == 5


@pytest.mark.parametrize(
    ("move", "columns", "fragment"),
    [({"up": "role"}, "role.email", "#up-role"), ({"down": "email"}, "role.email", "#down-email")],
)
async def test_a_button_moves_a_column_and_is_found_again(admin, move, columns, fragment):
    answer = await choose(admin, "email", "role", **move)

    page = await admin.get(answer.headers["Location"])
    assert f"{COOKIE}=username.{columns}|" in answer.headers["Set-Cookie"]
    assert answer.headers["Location"].endswith(fragment)
    assert f'id="{fragment[1:]}"' in page.text
    assert headings(page) == ["User", "Role", "Email"]


async def test_a_saved_view_has_its_columns_and_one_without_them_leaves_them_open(admin):
    await save(admin, "Wide", "is_active=true&column=id&column=role&size=50")
    await save(admin, "Open", "is_active=true")
    await choose(admin, "state")

    wide = await admin.get(view_links(await admin.get(USERS))["Wide"])
    dense = await admin.get(f"{USERS}?is_active=true&density=compact&page=2")

    assert headings(wide) == ["User", "Id", "Role"]
    assert [name for name in view_links(wide) if name.endswith("*")] == ["Wide*"]
    assert [name for name in view_links(dense) if name.endswith("*")] == ["Open*"]
    assert "All*" in view_links(await admin.get(f"{USERS}?density=compact"))


async def test_filters_keep_what_the_url_says_of_the_display(admin):
    page = await admin.get(f"{USERS}?column=id&density=compact&size=50")

    (form,) = re.findall(r'<form[^>]*role="search".*?</form>', page.text, re.DOTALL)
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    assert hidden == [
        *(("column", "username"), ("column", "id"), ("density", "compact"), ("size", "50"))
    ]


async def test_pages_have_the_chosen_size_and_say_so_in_their_urls(admin, runtime):
    await sixty(runtime)
    await choose(admin, "email", size="50")

    first = await admin.get(USERS)
    second = await admin.get(USERS + page_links(first)["Next"])

    assert "1 to 50 of 61 users" in first.text
    assert page_links(first) == {"Next": "?size=50&page=2"}
    assert "51 to 61 of 61 users" in second.text
    assert page_links(second) == {"Previous": "?size=50"}
    assert "51 to 61 of 61 users" not in (await admin.get(f"{USERS}?page=2")).text


async def test_the_first_and_the_last_page_are_one_link_away(admin, runtime):
    await sixty(runtime)
    first, last = await admin.get(f"{USERS}?search=u"), await admin.get(f"{USERS}?search=u&page=3")

    assert page_links(first) == {"Next": "?search=u&page=2", "Last": "?search=u&page=3"}
    assert page_links(last) == {"First": "?search=u", "Previous": "?search=u&page=2"}


async def test_there_is_no_link_to_a_last_page_that_cannot_be_shown(admin, runtime, monkeypatch):
    await sixty(runtime)
    monkeypatch.setattr(totals, "MAX_OFFSET", 50)
    near = await admin.get(f"{USERS}?sort_by=username")
    monkeypatch.setattr(totals, "MAX_OFFSET", 49)
    far = await admin.get(f"{USERS}?sort_by=username")

    assert page_links(near).keys() == {"Next", "Last"}
    assert page_links(far).keys() == {"Next"}


async def test_there_is_no_link_to_a_last_page_that_is_estimated(admin, runtime, monkeypatch):
    await sixty(runtime)
    for name in ("COUNT_LIMIT", "MAX_COLLECTED", "SMALL_TABLE"):
        monkeypatch.setattr(totals, name, 20)

    assert page_links(await admin.get(f"{USERS}?search=user")).keys() == {"Next"}


async def test_times_are_relative_and_their_titles_exact(admin, root, runtime):
    now = datetime.now(UTC)
    times = {"created": now - timedelta(hours=5), "updated": now - timedelta(days=400)}
    async with runtime.engine.begin() as connection:
        await connection.execute(
            text("UPDATE users SET created_at = :created, updated_at = :updated"), times
        )

    page = await admin.get(f"{USERS}?column=created&column=updated")

    created, updated = times["created"], times["updated"]
    exact = f"{created:%-d %b %Y, %H:%M:%S} UTC"
    assert f'datetime="{created.isoformat()}" title="{exact}">5 hours ago</time>' in page.text
    assert f">{updated:%-d %b %Y}</time>" in page.text


async def test_other_lists_have_pages_of_a_chosen_size(admin, root, runtime):
    async with runtime.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO invitations (email, invited_by, token_id, is_mailed, expires_at) "
                "SELECT n || '@example.com', :id, gen_random_uuid(), true, now() + interval '1 d' "
                "FROM generate_series(1, 60) AS n"
            ),
            {"id": root.id},
        )
    place = f"{PAGE}/invitations"
    usual, longer = await admin.get(place), await admin.get(f"{place}?size=50")

    assert usual.text.count("/revoke") == 25
    assert longer.text.count("/revoke") == 50
    assert 'size=100">100</a>' in usual.text
    assert f'href="{place}">25</a>' in longer.text
    assert f'href="{place}?size=50" aria-current="true">50</a>' in longer.text
    assert 'page=3">Last</a>' in usual.text


async def test_a_user_agent_in_the_audit_trail_is_shown_in_words(admin, client, ada):
    agent = "Mozilla/5.0 (Windows NT 10.0; rv:145.0) Gecko/20100101 Firefox/145.0"
    credentials = {"email": ada.email, "password": ada.password}
    await client.post("/api/v1/auth/login", json=credentials, headers={"User-Agent": agent})

    page = await admin.get(f"{PAGE}/audit?actor=user:{ada.id}")

    assert f'<span title="{agent}">Firefox on Windows</span>' in page.text

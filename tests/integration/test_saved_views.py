"""Saved views of the users table: a name for its filters and order, for one user alone."""

import asyncio
import re
from html import unescape
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import text

from app.services.user.saved_views import MAX_VIEWS
from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in
from tests.integration.test_roles import give

__all__ = ["browser"]
VIEWS = f"{PAGE}/users/views"
QUERY = "sort_by=email&is_active=false&created_within=7d"


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


async def token(browser: httpx.AsyncClient) -> str:
    return form_in(await browser.get(f"{PAGE}/users"), "/logout")["csrf"]


async def save(browser: httpx.AsyncClient, name: str, query: str = QUERY) -> httpx.Response:
    data = {"csrf": await token(browser), "name": name}
    return await browser.post(f"{VIEWS}/new?{query}", data=data)


def links(page: httpx.Response) -> dict[str, str]:
    """The views, All included: URL by name, `*` after the current one."""
    nav = re.search(r'<nav class="views".*?</nav>', page.text, re.DOTALL)
    found = re.findall(
        r'<a href="([^"]*)"( aria-current="page")?>([^<]*)</a>', nav[0] if nav else ""
    )
    return {unescape(name) + "*" * bool(mark): unescape(url) for url, mark, name in found}


async def shown(browser: httpx.AsyncClient, query: str = "") -> dict[str, str]:
    return links(await browser.get(f"{PAGE}/users?{query}"))


async def only_id(runtime) -> int:
    async with runtime.engine.connect() as connection:
        found = await connection.scalar(text("SELECT id FROM saved_views"))
        return int(found)


async def test_a_list_is_saved_under_a_name_and_its_link_is_the_list(admin):
    form = await admin.get(f"{VIEWS}/new?{QUERY}&page=3")
    saved = await save(admin, " New & asleep ", f"{QUERY}&page=3")
    page = await admin.get(saved.headers["Location"])

    assert "State: Inactive" in form.text
    assert saved.status_code == 303
    assert saved.headers["Location"] == f"{PAGE}/users?{QUERY}"
    assert "Saved the view “New &amp; asleep”" in page.text
    assert links(page) == {
        "All": f"{PAGE}/users",
        "New & asleep*": f"{PAGE}/users?{QUERY}",
    }
    assert await shown(admin) == {"All*": f"{PAGE}/users", "New & asleep": f"{PAGE}/users?{QUERY}"}


async def test_the_current_view_is_marked_on_each_page_and_however_it_is_written(admin):
    await save(admin, "Asleep", "role=b2&role=a1&created_from=2026-11-01")

    written = "created_from=2026-11-01T00:00:00Z&role=a1&role=b2&page=2"

    assert list(await shown(admin, written)) == ["All", "Asleep*"]
    assert list(await shown(admin, "role=a1")) == ["All", "Asleep"]


async def test_only_a_list_that_is_not_a_view_yet_can_be_saved(admin):
    await save(admin, "Asleep")
    link = f"{VIEWS}/new?"

    assert link in (await admin.get(f"{PAGE}/users?is_active=true")).text
    assert link not in (await admin.get(f"{PAGE}/users?{QUERY}")).text
    assert link not in (await admin.get(f"{PAGE}/users")).text


async def test_a_view_is_renamed_and_deleted(admin, runtime):
    await save(admin, "Asleep")
    place, csrf = f"{VIEWS}/{await only_id(runtime)}", await token(admin)
    page = await admin.get(f"{PAGE}/users?{QUERY}")
    form = await admin.get(place)

    renamed = await admin.post(place, data={"csrf": csrf, "name": "Dormant"})
    after_rename = await shown(admin, QUERY)
    deleted = await admin.post(f"{place}/delete", data={"csrf": csrf})
    again = await admin.post(f"{place}/delete", data={"csrf": csrf})

    assert f'href="{place}"' in page.text
    assert 'value="Asleep"' in form.text
    assert renamed.headers["Location"] == f"{PAGE}/users?{QUERY}"
    assert list(after_rename) == ["All", "Dormant*"]
    assert (deleted.status_code, deleted.headers["Location"]) == (303, f"{PAGE}/users?{QUERY}")
    assert (again.status_code, again.headers["Location"]) == (303, f"{PAGE}/users")
    assert "Dormant" not in await shown(admin, QUERY)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "Should not be blank"),
        ("   ", "Should not be blank"),
        ("x" * 61, "at most 60 characters"),
        ("a\u202eb", "Control characters are not allowed"),
    ],
)
async def test_a_name_that_is_refused_is_shown_again_with_the_reason(admin, name, reason):
    answer = await save(admin, name)

    assert answer.status_code == 422
    assert reason in answer.text
    assert f'value="{name}"' in answer.text
    assert list(await shown(admin)) == []


async def test_a_name_is_given_once(admin, runtime):
    await save(admin, "Asleep")
    taken = await save(admin, "Asleep", "is_active=true")
    await save(admin, "Awake", "is_active=true")
    async with runtime.engine.connect() as connection:
        query = text("SELECT id FROM saved_views WHERE name = 'Awake'")
        view_id = await connection.scalar(query)

    data = {"csrf": await token(admin), "name": "Asleep"}
    renamed = await admin.post(f"{VIEWS}/{view_id}", data=data)

    assert (taken.status_code, renamed.status_code) == (409, 409)
    assert list(await shown(admin)) == ["All*", "Asleep", "Awake"]


async def test_views_are_bounded_also_when_many_are_saved_at_once(admin, runtime):
    csrf = await token(admin)
    answers = await asyncio.gather(
        *(
            admin.post(f"{VIEWS}/new?{QUERY}", data={"csrf": csrf, "name": f"View {number}"})
            for number in range(MAX_VIEWS + 3)
        )
    )

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [303] * MAX_VIEWS + [409] * 3
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert "delete one first" in refused.text


@pytest.mark.parametrize("query", ["is_active=perhaps", "colour=red", "sort_by=hashed_password"])
async def test_filters_of_a_view_are_those_of_the_list(admin, query):
    assert (await save(admin, "Odd", query)).status_code == 422
    assert (await admin.get(f"{VIEWS}/new?{query}")).status_code == 422


@pytest.mark.parametrize("query", ["is_active=perhaps", "colour=red", "is_active=1&is_active=0"])
async def test_a_view_whose_filters_are_not_valid_any_more_can_be_deleted(admin, runtime, query):
    await save(admin, "Old")
    async with runtime.engine.begin() as connection:
        await connection.execute(text("UPDATE saved_views SET query = :query"), {"query": query})
    place = f"{VIEWS}/{await only_id(runtime)}"

    page = await admin.get(f"{PAGE}/users")
    form = await admin.get(place)
    deleted = await admin.post(f"{place}/delete", data={"csrf": await token(admin)})

    assert page.status_code == 200
    assert list(links(page)) == ["All*"]
    assert f'href="{place}"' in page.text
    assert "not valid any more" in form.text
    assert deleted.headers["Location"] == f"{PAGE}/users"


async def test_the_longest_list_can_be_saved(admin):
    roles = "&".join(f"role=r{number:031}" for number in range(20))
    ids = "&".join(f"id={2**63 - 1 - number}" for number in range(100))
    search = quote("🙂" * 254)
    moments = "created_from=2026-11-01T00:00:00.000001Z&created_to=2026-11-01T00:00:00.000001Z"
    states = "is_active=false&is_superuser=false&has_mfa=false&email_verified=false"
    query = f"{ids}&{roles}&search={search}&{moments}&{states}&created_within=today"

    saved = await save(admin, "Long", f"{query}&sort_by=username&sort_order=asc")

    assert saved.status_code == 303
    assert list(links(await admin.get(saved.headers["Location"]))) == ["All", "Long*"]


async def test_nobody_sees_or_changes_the_views_of_another(browser, root, ada, runtime):
    await log_in(browser, root)
    await save(browser, "Mine")
    place = f"{VIEWS}/{await only_id(runtime)}"
    await give(root, ada, "users:read")
    browser.cookies.clear()
    await log_in(browser, ada)
    csrf = await token(browser)

    form = await browser.get(place)
    renamed = await browser.post(place, data={"csrf": csrf, "name": "Theirs"})
    await browser.post(f"{place}/delete", data={"csrf": csrf})

    assert await shown(browser) == {}
    assert (form.status_code, renamed.status_code) == (404, 404)
    assert await only_id(runtime)


@pytest.mark.parametrize("path", ["/new", "/1", "/1/delete"])
async def test_a_form_of_another_site_saves_nothing(admin, path):
    answer = await admin.post(f"{VIEWS}{path}", data={"name": "x"})

    assert answer.status_code == 403


async def test_views_go_with_their_user_and_are_in_their_data(browser, root, ada, runtime):
    await give(root, ada, "users:read")
    await log_in(browser, ada)
    await save(browser, "Mine")

    data = (await ada.get("/users/me/export")).json()
    await root.delete(f"/users/{ada.id}")

    async with runtime.engine.connect() as connection:
        left = await connection.scalar(text("SELECT count(*) FROM saved_views"))
    (view,) = data["saved_views"]
    assert (view["name"], view["query"]) == ("Mine", QUERY)
    assert left == 0

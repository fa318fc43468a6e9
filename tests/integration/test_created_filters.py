"""Filters of users by the time of creation and by several roles, of the API and of the pages."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx
import pytest
from sqlalchemy import insert, text

from app.models import User
from app.schemas.user_list import MAX_IDS, MAX_ROLES
from app.services.user import totals
from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, log_in
from tests.integration.test_roles import give

__all__ = ["browser"]


@pytest.fixture
async def daily(root, runtime) -> None:
    """`day1` to `day30`: a user of each noon of November 2019."""
    rows = [
        {
            "email": f"day{day}@example.com",
            "username": f"day{day}",
            "hashed_password": "",
            "created_at": datetime(2019, 11, day, 12, tzinfo=UTC),
        }
        for day in range(1, 31)
    ]
    async with runtime.engine.begin() as connection:
        await connection.execute(insert(User), rows)


async def names(root: Person, path: str = "/users", **params: object) -> list[str]:
    response = await root.get(path, params={"sort_order": "asc", "size": 100, **params})
    assert response.status_code == 200, response.text
    return [user["username"] for user in response.json()["items"]]


@pytest.mark.parametrize("path", ["/users", "/users/cursor"])
@pytest.mark.parametrize(
    ("bounds", "first", "last"),
    [
        ({"created_from": "2019-11-03", "created_to": "2019-11-05"}, 3, 5),
        ({"created_from": "2019-11-03", "created_to": "2019-11-03"}, 3, 3),
        ({"created_from": "2019-11-03T12:00:00Z", "created_to": "2019-11-05T12:00:00Z"}, 3, 4),
        ({"created_from": "2019-11-03T13:00:01+01:00", "created_to": "2019-11-30"}, 4, 30),
        ({"created_to": "2019-11-02"}, 1, 2),
    ],
)
async def test_a_range_has_its_first_day_and_its_last(root, daily, path, bounds, first, last):
    assert await names(root, path, **bounds) == [f"day{day}" for day in range(first, last + 1)]


async def test_an_empty_range_has_no_users(root, daily):
    assert await names(root, created_from="2019-11-05", created_to="2019-11-03") == []


@pytest.mark.parametrize(("period", "hours"), [("7d", 7 * 24), ("30d", 30 * 24)])
async def test_a_period_ends_now(root, runtime, period, hours):
    before, within = (timedelta(hours=hours) + timedelta(minutes=shift) for shift in (1, -1))
    async with runtime.engine.begin() as connection:
        for name, age in (("older", before), ("newer", within)):
            row = {"email": f"{name}@example.com", "username": name, "hashed_password": ""}
            await connection.execute(insert(User), [{**row, "created_at": datetime.now(UTC) - age}])

    found = await names(root, created_within=period)

    assert found == ["newer", "root"]


async def test_today_begins_at_midnight_utc(root, runtime):
    midnight = "date_trunc('day', now(), 'UTC')"
    async with runtime.engine.begin() as connection:
        for name, moment in (("early", midnight), ("late", f"{midnight} - interval '1 second'")):
            await connection.execute(
                text(
                    "INSERT INTO users (email, username, hashed_password, created_at)"
                    f" VALUES ('{name}@example.com', '{name}', '', {moment})"
                )
            )

    found = await names(root, created_within="today")

    # `root` signed up a moment ago, which may be yesterday.
    assert [name for name in found if name != "root"] == ["early"]


@pytest.mark.parametrize(
    "query",
    [
        *("created_from=2026-02-30", "created_from=yesterday", "created_from=1", "created_from="),
        *("created_to=9999-12-31", "created_to=2026-11-01T00:00:00", "created_within=8d"),
        "role=" + "&role=".join(f"role-{number}" for number in range(MAX_ROLES + 1)),
        *("id=0", "id=-1", "id=x", "id=", "id=1.5", "id=true", "id=9223372036854775808"),
        "id=" + "&id=".join(str(number) for number in range(1, MAX_IDS + 2)),
    ],
)
@pytest.mark.parametrize("path", ["/users", "/users/cursor", "/users/export"])
async def test_a_value_that_makes_no_sense_is_a_422_that_names_it(root, path, query):
    response = await root.get(f"{path}?{query}")

    assert response.status_code == 422
    fields = {detail["field"].partition(".")[0] for detail in response.json()["details"]}
    assert fields == {query.partition("=")[0]}


@pytest.mark.parametrize("sort_order", ["asc", "desc"])
@pytest.mark.parametrize("search", [None, "day"])
async def test_a_range_is_followed_by_cursor_to_its_end(root, daily, sort_order, search):
    params = {"created_from": "2019-11-03", "created_to": "2019-11-20", "sort_order": sort_order}
    params |= {"search": search} if search else {}
    seen: list[str] = []
    cursor = None
    while True:
        page = (
            await root.get(
                "/users/cursor",
                params=params | {"size": 5} | ({"cursor": cursor} if cursor else {}),
            )
        ).json()
        seen += [user["username"] for user in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break

    days = [f"day{day}" for day in range(3, 21)]
    assert seen == (days if sort_order == "asc" else days[::-1])


async def test_a_cursor_is_of_one_range(root, daily):
    params = {"created_from": "2019-11-03", "size": 5}
    cursor = (await root.get("/users/cursor", params=params)).json()["next_cursor"]

    other = await root.get(
        "/users/cursor", params={"created_from": "2019-11-04", "size": 5, "cursor": cursor}
    )
    same = await root.get(
        "/users/cursor", params={"created_from": "2019-11-03T00:00Z", "size": 5, "cursor": cursor}
    )

    assert (other.status_code, same.status_code) == (422, 200)


@pytest.mark.parametrize("path", ["/users", "/users/cursor"])
async def test_users_are_found_by_their_ids(root, ada, bob, path):
    ids = [bob.id, ada.id, bob.id, 2**63 - 1]

    assert await names(root, path, id=ids) == ["ada", "bob"]
    assert await names(root, path, id=ada.id, sort_by="email") == ["ada"]
    assert await names(root, path, id=ids, search="bob") == ["bob"]
    assert await names(root, path, id=ids, is_active=False) == []


async def test_as_many_ids_as_a_page_has_users(root, daily):
    ids = list(range(1, MAX_IDS + 1))

    page = (await root.get("/users", params={"id": ids, "size": 100})).json()
    exported = await root.get("/users/export", params={"id": ids[:2], "format": "ndjson"})

    assert page["total"] == 31
    assert exported.text.count("\n") == 2


async def test_a_cursor_is_of_the_same_ids_in_whatever_order(root, daily):
    ids = [3, 4, 5]
    params = {"id": ids, "size": 2}
    cursor = (await root.get("/users/cursor", params=params)).json()["next_cursor"]

    same = await root.get("/users/cursor", params={"id": ids[::-1], "size": 2, "cursor": cursor})
    other = await root.get("/users/cursor", params={"id": [3, 4], "size": 2, "cursor": cursor})

    assert [user["id"] for user in same.json()["items"]] == [3]
    assert other.status_code == 422


async def test_a_change_brings_a_user_to_the_top_of_the_order_by_it(root, ada, bob):
    await ada.patch("/users/me", json={"full_name": "Ada"})

    listed = [
        (await root.get(path, params={"sort_by": "updated_at"})).json()["items"][0]["username"]
        for path in ("/users", "/users/cursor")
    ]

    assert listed == ["ada", "ada"]


async def test_several_roles_are_or(root, ada, bob):
    roles = [(await give(root, person, "users:read"))["name"] for person in (ada, bob)]

    both = await names(root, role=roles)
    first = await names(root, role=[roles[0], "nobody", roles[0]])

    assert sorted(both) == ["ada", "bob"]
    assert first == ["ada"]


async def test_the_export_has_the_same_filters_and_its_event_names_them(root, daily):
    params = {"created_from": "2019-11-03", "created_to": "2019-11-04", "format": "ndjson"}

    exported = await root.get("/users/export", params=params)

    events = (await root.get("/audit", params={"action": "data.exported"})).json()["items"]
    assert exported.text.count("\n") == 2
    assert events[0]["after"] == {
        "format": "ndjson",
        "created_from": "2019-11-03",
        "created_to": "2019-11-04",
    }


async def test_the_total_of_a_long_range_is_an_estimate_that_says_so(root, daily, monkeypatch):
    monkeypatch.setattr(totals, "COUNT_LIMIT", 20)
    monkeypatch.setattr(totals, "SMALL_TABLE", 0)

    short = (await root.get("/users?created_to=2019-11-20")).json()
    long = (await root.get("/users?created_to=2019-11-30&size=5")).json()

    assert (short["total"], "total_is_estimate" in short) == (20, False)
    assert long["total_is_estimate"]
    assert long["total"] >= 21


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


def chips(page: httpx.Response) -> dict[str, str]:
    """The URL of each chip, by its words."""
    found = re.findall(r'<a class="chip" href="([^"]*)">(.*?)</a>', page.text)
    return {re.sub("<[^>]*>", "", words): unescape(url) for url, words in found}


FILTERED = (
    f"{PAGE}/users?sort_by=email&id=7&id=12&is_active=true&is_superuser=false&has_mfa=false"
    "&role=support&role=billing&email_verified=false&created_within=30d"
    "&created_from=2026-11-01&created_to=2026-11-30T12%3A30%3A00Z&search=smith&page=3"
)


async def test_each_filter_is_a_chip_and_its_link_is_the_list_without_it(admin):
    page = await admin.get(FILTERED)
    found = chips(page)

    assert list(found) == [
        "Remove Id: 7",
        "Remove Id: 12",
        "Remove State: Active",
        "Remove Access: Other users",
        "Remove Second factor: Without",
        "Remove Role: billing",
        "Remove Role: support",
        "Remove Email: Not verified",
        "Remove Created: Last 30 days",
        "Remove Created from: 1 Nov 2026",
        "Remove Created to: 30 Nov 2026, 12:30 UTC",
        "Remove Search: smith",
    ]
    assert page.text.count(">or</span>") == 2
    for words, url in found.items():
        others = chips(await admin.get(url))
        assert list(others) == [one for one in found if one != words]
        assert "page=" not in url
        assert "sort_by=email" in url


async def test_all_filters_are_cleared_at_once_and_the_order_stays(admin):
    page = await admin.get(FILTERED)

    (clear,) = re.findall(r'class="clear" href="([^"]*)"', page.text)
    assert clear == f"{PAGE}/users?sort_by=email"
    assert chips(await admin.get(clear)) == {}
    assert 'class="clear"' not in (await admin.get(clear)).text


async def test_fields_that_were_left_empty_are_no_filters(admin):
    page = await admin.get(
        f"{PAGE}/users?search=&is_active=&role=&created_within=&created_from=&created_to="
    )

    assert page.status_code == 200
    assert chips(page) == {}


async def test_the_form_shows_the_filters_and_the_file_has_them(admin, root, ada, daily):
    role = (await give(root, ada, "users:read"))["name"]
    page = await admin.get(
        f"{PAGE}/users?role={role}&created_from=2026-11-03&created_to=2026-11-04"
    )
    days = await admin.get(f"{PAGE}/users?created_from=2019-11-03&created_to=2019-11-04")
    (file,) = re.findall(r'href="([^"]*/export[^"]*)"', days.text)
    exported = await admin.get(unescape(file))

    assert f'value="{role}" checked' in page.text
    assert 'name="created_from" type="date" value="2026-11-03"' in page.text
    assert 'name="created_to" type="date" value="2026-11-04"' in page.text
    hour = await admin.get(f"{PAGE}/users?created_from=2019-11-03T05:00Z")
    assert 'type="hidden" name="created_from" value="2019-11-03T05:00:00Z"' in hour.text
    assert 'id="created_from" disabled type="date" value="2019-11-03"' in hour.text
    assert "1 to 2 of 2 users" in days.text
    assert exported.text.count("\n") == 3


async def test_ids_stay_while_other_filters_are_typed_and_lead_to_the_api(admin, root, ada, bob):
    page = await admin.get(f"{PAGE}/users?id={ada.id}&id={bob.id}&sort_by=updated_at")

    assert "1 to 2 of 2 users" in page.text
    for person in (ada, bob):
        assert f'<input type="hidden" name="id" value="{person.id}">' in page.text
    assert f"id={ada.id}&amp;id={bob.id}" in page.text
    assert "/users/export?" in page.text


async def test_names_of_roles_are_shown_to_those_who_may_list_them(browser, root, ada):
    role = (await give(root, ada, "users:read"))["name"]
    await log_in(browser, ada)

    plain = await browser.get(f"{PAGE}/users")
    linked = await browser.get(f"{PAGE}/users?role={role}")

    assert 'name="role"' not in plain.text
    assert list(chips(linked)) == [f"Remove Role: {role}"]
    assert f'value="{role}" checked' in linked.text

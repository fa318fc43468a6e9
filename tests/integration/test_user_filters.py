"""Filters, search, order and paging, each answer beside what Python makes of the same people."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import insert, text

from app.models import User
from app.services.user import totals
from tests.conftest import Person
from tests.people import COMBINATIONS, ORDERS, Row, expected, people, sent

SEARCHES = [
    *("ADA", "a", "%", "_", "\\", "/", "'", "öb", "борис", "山", "example.org", "a l", "nobody"),
]


async def page_by_page(root: Person, size: int, **filters: Any) -> tuple[list[int], int]:
    """All ids, by number, and the total that each page told."""
    params = {**sent(**filters), "size": size}
    first = (await root.get("/users", params=params)).json()
    pages = [first] + [
        (await root.get("/users", params={**params, "page": page})).json()
        for page in range(2, first["pages"] + 1)
    ]
    (total,) = {page["total"] for page in pages}
    return [user["id"] for page in pages for user in page["items"]], total


async def cursor_pages(root: Person, size: int, **filters: Any) -> AsyncIterator[list[Row]]:
    params = {**sent(**filters), "size": size}
    while True:
        response = await root.get("/users/cursor", params=params)
        assert response.status_code == 200, response.text
        yield response.json()["items"]
        if (cursor := response.json()["next_cursor"]) is None:
            return
        params["cursor"] = cursor


async def by_cursor(root: Person, size: int, **filters: Any) -> list[int]:
    pages = [page async for page in cursor_pages(root, size, **filters)]
    return [user["id"] for page in pages for user in page]


@pytest.fixture(params=["looked up", "met on the way"])
def way(request, monkeypatch):
    """How a search is done: as where few are expected, and as where many are."""
    if request.param == "met on the way":
        monkeypatch.setattr(totals, "MAX_EXPECTED", -1)


@pytest.mark.parametrize("search", ["", *SEARCHES])
@pytest.mark.usefixtures("way")
async def test_every_combination_is_listed_and_followed_by_cursor_to_its_end(
    root, everybody, search
):
    for combination in COMBINATIONS:
        filters = {**combination, "search": search}

        listed, total = await page_by_page(root, 30, **filters)
        followed = await by_cursor(root, 29, **filters)

        assert listed == followed == expected(everybody, **filters), filters
        assert total == len(listed)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_pages_of_any_size_hold_each_user_once(root, everybody, size):
    listed, _ = await page_by_page(root, size)
    followed = await by_cursor(root, size)

    assert listed == followed == expected(everybody)


async def test_a_page_that_ends_with_the_list_has_no_next(root, everybody):
    pages = [page async for page in cursor_pages(root, len(everybody))]

    assert len(pages) == 1


async def test_a_search_for_nothing_finds_everybody(root, everybody):
    assert (await root.get("/users", params={"search": ""})).json()["total"] == len(everybody)


async def test_a_search_does_not_reach_from_one_name_into_the_next(root, everybody):
    user = everybody[-1]
    for joint in ("", " ", "\t"):
        search = f"{user['username'][-3:]}{joint}{user['email'][:3]}"
        response = await root.get("/users", params={"search": search})

        assert response.status_code == 422 or response.json()["total"] == 0


async def test_the_newest_come_first_unless_asked_otherwise(root, everybody):
    plain = await root.get("/users", params={"size": 100})
    told = {"sort_by": "created_at", "sort_order": "desc"}

    assert plain.json() == (await root.get("/users", params={"size": 100, **told})).json()


@pytest.mark.parametrize(("sort_by", "sort_order"), ORDERS)
async def test_a_cursor_meets_each_user_once_while_others_come_go_and_change(
    root, runtime, everybody, sort_by, sort_order
):
    chance = random.Random(7)
    stays = {user["id"] for user in everybody}
    met: list[int] = []

    async for page in cursor_pages(root, 5, sort_by=sort_by, sort_order=sort_order):
        met += [user["id"] for user in page]
        number = chance.randrange(10**6)
        newcomer = {
            **chance.choice(people()),
            "email": f"{chance.choice('abcxyz')}-new{number}@example.com",
            "username": f"{chance.choice('abu')}-new{number}",
        }
        leaver = chance.choice(sorted(stays - {root.id}))
        stays.discard(leaver)
        async with runtime.engine.begin() as connection:
            await connection.execute(insert(User), [newcomer])
            await connection.execute(text(f"DELETE FROM users WHERE id = {leaver}"))
            await connection.execute(
                text("UPDATE users SET full_name = 'Changed', is_active = NOT is_active")
            )
            await connection.execute(
                text(f"UPDATE users SET is_active = true WHERE id = {root.id}")
            )

    assert len(met) == len(set(met))
    assert stays <= set(met)


async def test_a_cursor_continues_after_its_last_user_was_deleted(root, runtime, everybody):
    first = (await root.get("/users/cursor", params={"size": 5})).json()
    async with runtime.engine.begin() as connection:
        await connection.execute(
            text("DELETE FROM users WHERE id = :id"), {"id": first["items"][-1]["id"]}
        )

    params = {"size": 100, "cursor": first["next_cursor"]}
    rest = (await root.get("/users/cursor", params=params)).json()

    assert [user["id"] for user in rest["items"]] == expected(everybody)[5:]


async def test_the_size_may_change_from_page_to_page(root, everybody):
    first = (await root.get("/users/cursor", params={"size": 3})).json()
    params = {"size": 100, "cursor": first["next_cursor"]}

    second = (await root.get("/users/cursor", params=params)).json()

    assert [user["id"] for user in first["items"] + second["items"]] == expected(everybody)


@pytest.mark.parametrize(
    "other",
    [
        {"sort_order": "asc"},
        {"sort_by": "email"},
        {"search": "a"},
        {"is_active": True},
        {"is_superuser": False},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_a_cursor_is_refused_where_filters_or_order_are_others(root, everybody, other):
    cursor = (await root.get("/users/cursor", params={"size": 3})).json()["next_cursor"]

    response = await root.get("/users/cursor", params={"cursor": cursor, **other})

    assert response.status_code == 422
    assert response.json()["details"][0]["field"] == "cursor"


async def test_a_cursor_that_spells_out_the_defaults_is_the_same_list(root, everybody):
    cursor = (await root.get("/users/cursor", params={"size": 3})).json()["next_cursor"]
    params = {"cursor": cursor, "sort_by": "created_at", "sort_order": "desc"}

    response = await root.get("/users/cursor", params=params)

    assert response.status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "is_active=perhaps",
        "is_active=",
        "is_superuser=2",
        "sort_by=hashed_password",
        "sort_by=is_active",
        "sort_by=created_at;drop table users",
        "sort_order=down",
        "sort_order=",
        "search=%00",
        "search=" + "%F0%9D%85%A0" * 254,  # NFC makes three characters of each
        "search=a%00b",
        "search=%0a",
        "search=%ED%A0%80",
        "search=%ff",
        "search=" + "x" * 255,
        "size=0",
        "size=101",
        "size=9223372036854775808",
        "size=NaN",
    ],
)
@pytest.mark.parametrize("path", ["/users", "/users/cursor"])
async def test_a_filter_that_makes_no_sense_is_a_422_that_names_it(root, path, query):
    response = await root.get(f"{path}?{query}")

    assert response.status_code == 422
    field = query.partition("=")[0]
    assert [detail["field"] for detail in response.json()["details"]] == [field]


@pytest.mark.parametrize("page", ["0", "-1", "1000001", "9223372036854775808", "1" * 5000, "x"])
async def test_a_page_that_cannot_be_is_a_422(root, page):
    assert (await root.get("/users", params={"page": page})).status_code == 422


async def test_a_page_beyond_the_last_is_empty(root, everybody):
    response = await root.get("/users", params={"page": 1_000_000, "size": 100})

    assert response.json()["items"] == []
    assert response.json()["total"] == len(everybody)


@pytest.mark.parametrize(
    "cursor", ["", "x", "%00", "%ff", "%ED%A0%80", "AAAA" * 30, "A" * 1025, "%F0%9F%98%80"]
)
async def test_a_cursor_that_is_none_is_a_422(root, cursor):
    response = await root.get(f"/users/cursor?cursor={cursor}")

    assert response.status_code == 422
    assert response.json()["details"][0]["field"] == "cursor"


async def test_no_list_holds_a_password(root, everybody):
    for path in ("/users", "/users/cursor"):
        assert "password" not in (await root.get(path)).text

"""How many users there are: exact where they are few, remembered or estimated where they are many,
and told which."""

import asyncio
from itertools import product
from operator import ge
from typing import Annotated

import pytest
from sqlalchemy import event, text

from app.core.cache import MemoryStore
from app.core.pagination import PageParams
from app.schemas.list_params import Filter
from app.schemas.user_list import UserFilters
from app.services.user import totals as user_totals
from app.services.user.totals import UserTotals
from tests.people import STATES, expected

PAGE = {"items", "total", "page", "size", "pages"}


@pytest.fixture
def small_bounds(monkeypatch):
    """Twenty users are many, ten expected are many, and nobody looks up more than twenty."""
    monkeypatch.setattr(user_totals, "COUNT_LIMIT", 20)
    monkeypatch.setattr(user_totals, "MAX_EXPECTED", 10)
    monkeypatch.setattr(user_totals, "MAX_COLLECTED", 20)


@pytest.fixture(autouse=True)
def unhurried(runtime, monkeypatch):
    """Kept in this process: Redis is left alone after 0.1 s, which a busy machine may take."""
    monkeypatch.setattr(runtime.results, "_store", MemoryStore())


@pytest.fixture
async def analyzed(everybody, runtime):
    async with runtime.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("ANALYZE users"))
    return everybody


async def add_users(runtime, count: int, first: int = 1) -> None:
    async with runtime.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO users (email, username, hashed_password)"
                " SELECT n || '@new.example', 'new' || n, ''"
                f" FROM generate_series({first}, {first + count - 1}) n"
            )
        )


async def listed(root, **params):
    response = await root.get("/users", params=params)
    assert response.status_code == 200
    return response.json()


@pytest.fixture
def statements(runtime):
    """What was asked about users."""
    heard: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM users" in statement:
            heard.append(statement)

    event.listen(runtime.engine.sync_engine, "before_cursor_execute", hear)
    yield heard
    event.remove(runtime.engine.sync_engine, "before_cursor_execute", hear)


def run(statements: list[str]) -> list[str]:
    """Those that were not only planned."""
    return [one for one in statements if "EXPLAIN" not in one]


def full_counts(statements: list[str]) -> list[str]:
    """Those that count all, without a bound."""
    return [one for one in statements if "count(*)" in one and "LIMIT" not in one]


async def test_few_users_are_counted_anew_each_time(root, runtime, everybody):
    before = await listed(root)
    await add_users(runtime, 1)
    created = await listed(root)
    await root.delete(f"/users/{created['items'][0]['id']}")
    deleted = await listed(root)

    totals = [page["total"] for page in (before, created, deleted)]
    assert totals == [len(everybody), len(everybody) + 1, len(everybody)]


async def test_an_exact_total_has_the_five_fields_alone(root, everybody):
    assert set(await listed(root)) == PAGE
    assert set(await listed(root, search="ada")) == PAGE


async def test_many_users_are_counted_once_for_concurrent_requests(
    root, runtime, everybody, small_bounds, statements
):
    pages = await asyncio.gather(*(listed(root) for _ in range(12)))
    await add_users(runtime, 1)
    later = await listed(root)

    assert {page["total"] for page in pages} == {len(everybody)}
    assert later["total"] == len(everybody)
    assert set(later) == PAGE
    assert len(full_counts(statements)) == 1


async def test_many_users_are_not_counted_while_their_number_is_cached(
    root, everybody, small_bounds, statements
):
    first = await listed(root)
    statements.clear()
    second = await listed(root)

    assert first == second
    assert not [one for one in statements if "count(*)" in one]


async def test_many_users_are_counted_once_for_all_processes(
    root, runtime, everybody, small_bounds, statements
):
    page = await listed(root)
    other = UserTotals(runtime.user_lists.users, runtime.results)

    assert await other.in_state(UserFilters()) == page["total"]
    assert len(full_counts(statements)) == 1


async def test_many_users_who_became_few_are_counted_anew(
    root, runtime, everybody, small_bounds, monkeypatch
):
    monkeypatch.setattr(user_totals, "COUNT_TTL", 2)
    totals = [(await listed(root))["total"]]
    async with runtime.engine.begin() as connection:
        await connection.execute(text("DELETE FROM users WHERE NOT is_superuser"))
    await asyncio.sleep(2)

    totals.append((await listed(root))["total"])
    await add_users(runtime, 1)
    totals.append((await listed(root))["total"])
    await add_users(runtime, len(everybody), first=2)
    totals.append((await listed(root))["total"])

    superusers = len(expected(everybody, is_superuser=True))
    assert totals[:3] == [len(everybody), superusers, superusers + 1]
    assert totals[3] > user_totals.COUNT_LIMIT  # and not the few that are remembered


async def test_many_users_who_became_few_are_reported_by_the_page_at_once(
    root, runtime, everybody, small_bounds
):
    before = await listed(root)
    async with runtime.engine.begin() as connection:
        await connection.execute(text("DELETE FROM users WHERE NOT is_superuser"))
    after = await listed(root)
    beyond = await listed(root, page=2)

    assert before["total"] == len(everybody)
    assert after["total"] == len(after["items"]) < before["total"]
    assert (beyond["items"], beyond["total"]) == ([], before["total"])


async def test_each_state_has_a_number_of_its_own(root, everybody, small_bounds):
    for is_active in (None, True, False):
        for is_superuser in (None, True, False):
            state = {"is_active": is_active, "is_superuser": is_superuser}
            params = {name: value for name, value in state.items() if value is not None}
            for _ in range(2):
                page = await listed(root, **params)

                assert page["total"] == len(expected(everybody, is_active, is_superuser))


async def test_without_a_cache_many_users_are_counted_each_time(
    root, runtime, everybody, small_bounds, monkeypatch
):
    monkeypatch.setattr(runtime.results, "_store", None)
    before = await listed(root)
    await add_users(runtime, 1)

    assert (await listed(root))["total"] == before["total"] + 1


async def test_a_search_that_finds_few_among_many_is_counted(root, analyzed, small_bounds):
    page = await listed(root, search="öb")

    assert set(page) == PAGE
    assert page["total"] == len(expected(analyzed, search="öb")) < 10


async def test_a_search_that_finds_many_among_many_is_estimated_and_says_so(
    root, analyzed, small_bounds
):
    page = await listed(root, search="example", size=7)

    assert page["total_is_estimate"] is True
    assert 10 < page["total"] <= len(analyzed)
    assert page["pages"] == -(-page["total"] // 7)


async def test_a_search_that_is_expected_to_find_many_is_not_counted(
    root, analyzed, small_bounds, statements
):
    page = await listed(root, search="example", size=7)

    assert page["total_is_estimate"] is True
    assert not [one for one in statements if "count(*)" in one and "LIKE" in one]


async def test_a_search_that_is_expected_to_find_few_takes_one_query(
    root, analyzed, small_bounds, statements
):
    page = await listed(root, search="öb", size=2)

    assert page["total"] == len(expected(analyzed, search="öb")) > 2
    assert len(run(statements)) == 1


async def test_a_search_that_ends_on_its_last_page_runs_one_query(
    root, analyzed, small_bounds, statements
):
    among = expected(analyzed, search="example")
    pages = -(-len(among) // 7)
    page = await listed(root, search="example", size=7, page=pages)

    assert set(page) == PAGE
    assert (page["total"], page["pages"]) == (len(among), pages)
    assert len(run(statements)) == 1


@pytest.fixture
def taken_for_few(small_bounds, monkeypatch):
    """Every search, whatever the planner expects of it."""
    monkeypatch.setattr(user_totals, "MAX_EXPECTED", 10**9)


async def test_a_search_that_finds_more_than_expected_shows_the_first_in_order(
    root, everybody, taken_for_few, statements
):
    page = await listed(root, search="example", size=30)
    looked_up, followed = (one for one in run(statements) if "LIKE" in one)
    by_cursor = await root.get("/users/cursor", params={"search": "example", "size": 30})

    shown = [user["id"] for user in page["items"]]
    assert shown == [user["id"] for user in by_cursor.json()["items"]]
    assert shown == expected(everybody, search="example")[:30]
    assert page["total_is_estimate"] is True
    assert "WITH found" in looked_up
    assert "WITH found" not in followed


async def test_a_page_after_the_end_of_a_search_still_has_the_total(root, analyzed):
    page = await listed(root, search="example", size=7, page=1000)

    assert page["items"] == []
    assert page["total"] == len(expected(analyzed, search="example"))


async def test_a_page_of_users_in_some_state_and_their_number_take_one_query(
    root, analyzed, statements
):
    await listed(root, is_active=True, size=7)

    assert len(statements) == 1


async def test_where_no_index_serves_a_search_of_many_users_they_are_not_all_read(
    root, analyzed, small_bounds, statements, monkeypatch
):
    """A table of so few is never asked through an index; here as if it were large."""
    monkeypatch.setattr(user_totals, "MAX_COST", 0)

    page = await listed(root, search="öb", size=1)

    assert page["total_is_estimate"] is True
    assert not [one for one in statements if "WITH found" in one]


async def test_a_search_that_finds_many_among_few_is_counted(root, analyzed, monkeypatch):
    monkeypatch.setattr(user_totals, "MAX_EXPECTED", 10)

    page = await listed(root, search="example", size=7)

    assert set(page) == PAGE
    assert page["total"] == len(expected(analyzed, search="example")) > 10


async def test_an_estimate_is_never_below_what_was_found_nor_above_all(
    root, runtime, everybody, small_bounds
):
    """Whatever old statistics say."""
    async with runtime.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in (
            "CREATE TEMP TABLE kept AS SELECT * FROM users",
            "DELETE FROM users WHERE id > 1",
            "ANALYZE users",
            "INSERT INTO users OVERRIDING SYSTEM VALUE SELECT * FROM kept WHERE id > 1",
        ):
            await connection.execute(text(statement))
        await connection.invalidate()

    page = await listed(root, search="example", size=7)

    assert page["total_is_estimate"] is True
    assert 20 < page["total"] <= len(everybody)


async def test_an_estimate_is_never_below_what_the_pages_have_shown(root, everybody, taken_for_few):
    page = await listed(root, search="example", page=3, size=15)

    assert page["items"]
    assert page["total"] >= 2 * 15 + len(page["items"])


async def test_the_filters_of_a_search_hold_for_its_estimate(root, analyzed, small_bounds):
    page = await listed(root, search="example", is_active=True, size=7)

    assert page["total_is_estimate"] is True
    assert page["total"] <= len(expected(analyzed, is_active=True))


async def test_a_further_filter_counts_as_it_lists(root, runtime, small_bounds):
    """U4: a field of `UserFilters` is all that a filter takes, totals of many users included."""
    await add_users(runtime, 60)

    class More(UserFilters):
        least_id: Annotated[int | None, Filter("id", ge)] = None

    params = PageParams(page=1, size=10)

    totals = [
        (await runtime.user_lists.page(More(least_id=least), params)).total
        for least in (None, 31, None, 31, 41)
    ]

    assert totals == [61, 31, 61, 31, 21]
    assert UserTotals.were_many(runtime.user_lists.totals, More(least_id=31))


async def test_the_number_of_stored_totals_is_bounded(root, runtime, small_bounds, monkeypatch):
    """U4: a filter may have any number of values."""
    monkeypatch.setattr(user_totals, "MAX_COUNTS", 2)
    totals = runtime.user_lists.totals

    for is_active, is_superuser in product(STATES, STATES):
        await totals.in_state(UserFilters(is_active=is_active, is_superuser=is_superuser))

    assert len(totals._counts) <= 2

"""Totals of user lists: exact by state, and of searches exact where few are found, or estimated and
marked so."""

from math import inf
from operator import ge
from typing import Annotated

import pytest
from sqlalchemy import event, text

from app.core.exceptions import ValidationException
from app.core.pagination import PageParams
from app.database import PlanEstimate
from app.repositories.user import lists
from app.repositories.user.lists import UserListRepository
from app.schemas.list_params import Filter
from app.schemas.user_list import UserFilters
from app.services.user import totals as user_totals
from tests.people import expected

PAGE = {"items", "total", "page", "size", "pages"}


@pytest.fixture
def small_bounds(monkeypatch):
    """Twenty users are many, ten expected are many, and no search collects more than twenty."""
    monkeypatch.setattr(user_totals, "COUNT_LIMIT", 20)
    monkeypatch.setattr(user_totals, "MAX_EXPECTED", 10)
    monkeypatch.setattr(user_totals, "MAX_COLLECTED", 20)
    monkeypatch.setattr(user_totals, "SMALL_TABLE", 0)


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


@pytest.mark.parametrize("filters", [{}, {"is_active": True}, {"is_superuser": False}])
async def test_totals_are_exact_and_current_however_many_users_there_are(
    root, runtime, everybody, small_bounds, filters
):
    before = await listed(root, **filters)
    await add_users(runtime, 21)
    created = await listed(root, **filters)
    await root.delete(f"/users/{created['items'][0]['id']}")
    deleted = await listed(root, **filters)

    totals = [page["total"] for page in (before, created, deleted)]
    number = len(expected(everybody, **filters))
    assert totals == [number, number + 21, number + 20]


async def test_an_exact_total_has_the_five_fields_alone(root, everybody):
    assert set(await listed(root)) == PAGE
    assert set(await listed(root, search="ada")) == PAGE


async def test_a_page_and_its_total_are_one_query_that_counts_no_users(root, everybody, statements):
    for page in (1, 2):
        await listed(root, is_active=True, size=7, page=page)

    assert len(statements) == 2
    assert not [one for one in statements if "count(*)" in one]


async def test_a_page_behind_the_end_tells_the_total_all_the_same(root, everybody):
    beyond = await listed(root, page=9)

    assert (beyond["items"], beyond["total"]) == ([], len(everybody))


async def test_users_with_a_second_factor_are_counted_too(root, runtime, everybody, small_bounds):
    async with runtime.engine.begin() as connection:
        await connection.execute(text("UPDATE users SET has_mfa = true WHERE id % 2 = 0"))
        number = await connection.scalar(text("SELECT count(*) FROM users WHERE has_mfa"))

    totals = [(await listed(root, has_mfa=value))["total"] for value in (True, False)]

    assert totals == [number, len(everybody) - number]


async def test_users_with_a_verified_email_are_counted_too(root, runtime, everybody, small_bounds):
    async with runtime.engine.begin() as connection:
        verify = "UPDATE users SET email_verified_at = now() WHERE id % 3 = 0"
        await connection.execute(text(verify))
        await connection.execute(text("UPDATE users SET email_verified_at = NULL WHERE id = 3"))
        query = "SELECT count(*) FROM users WHERE email_verified_at IS NOT NULL"
        number = await connection.scalar(text(query))

    found = [await listed(root, email_verified=value) for value in (True, False)]

    assert [page["total"] for page in found] == [number, len(everybody) - number]
    assert not any(page.get("total_is_estimate") for page in found)


async def test_each_state_has_a_number_of_its_own(root, everybody, small_bounds):
    for is_active in (None, True, False):
        for is_superuser in (None, True, False):
            state = {"is_active": is_active, "is_superuser": is_superuser}
            params = {name: value for name, value in state.items() if value is not None}

            page = await listed(root, **params)

            assert page["total"] == len(expected(everybody, is_active, is_superuser))


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
    page = await listed(root, search="öbe", size=2)

    assert page["total"] == len(expected(analyzed, search="öbe")) > 2
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


class More(UserFilters):
    least_id: Annotated[int | None, Filter("id", ge)] = None


async def further(runtime, **filters):
    return await runtime.user_lists.page(More(**filters), PageParams(page=1, size=10))


async def test_a_further_filter_counts_as_it_lists(root, runtime):
    """U4: a field of `UserFilters` is all that a filter takes."""
    await add_users(runtime, 60)

    pages = [await further(runtime, least_id=least) for least in (None, 31, 41)]

    assert [page.total for page in pages] == [61, 31, 21]
    assert not any(page.total_is_estimate for page in pages)


async def test_a_filter_without_counters_is_counted_up_to_a_bound_and_then_estimated(
    root, runtime, analyzed, small_bounds
):
    few = await further(runtime, least_id=len(analyzed) - 4)
    many = await further(runtime, least_id=2)

    assert (few.total, few.total_is_estimate) == (5, False)
    assert many.total_is_estimate
    assert many.total > user_totals.COUNT_LIMIT


async def test_the_last_page_of_such_a_list_tells_its_exact_length(
    root, runtime, analyzed, small_bounds
):
    filters, number = More(least_id=2), len(analyzed) - 1
    last = PageParams(page=-(-number // 10), size=10)

    page = await runtime.user_lists.page(filters, last)

    assert (page.total, page.total_is_estimate) == (number, False)


@pytest.fixture
def large(small_bounds, monkeypatch):
    """The people of the tests are too many to search them all in order."""
    monkeypatch.setattr(user_totals, "MAX_SCANNED", 20)
    monkeypatch.setattr(user_totals, "MAX_SORTED", 20)


async def test_a_search_in_a_small_table_is_one_statement(root, everybody, statements):
    await listed(root, search="ada")
    statements.clear()

    page = await listed(root, search="öb", size=2)

    assert page["total"] == len(expected(everybody, search="öb"))
    assert len(statements) == 1


async def test_a_frequent_search_in_a_small_table_shows_the_first_and_counts_or_estimates(
    root, analyzed, monkeypatch
):
    monkeypatch.setattr(user_totals, "MAX_COLLECTED", 20)
    monkeypatch.setattr(user_totals, "FEW", 10)

    page = await listed(root, search="example", size=7)

    assert [user["id"] for user in page["items"]] == expected(analyzed, search="example")[:7]
    assert page["total"] <= len(analyzed)


@pytest.mark.parametrize("search", ["z", "öb", "%", "--", "_%_", "?!", "x-y"])
@pytest.mark.parametrize("path", ["/users", "/users/cursor"])
async def test_a_short_search_that_finds_too_few_in_a_large_table_names_what_works(
    root, everybody, large, search, path
):
    refused = await root.get(path, params={"search": search})

    assert refused.status_code == 422
    (detail,) = refused.json()["details"]
    assert (detail["field"], detail["code"]) == ("search", "too_short")
    assert "three letters or digits" in detail["message"]


async def test_a_short_search_that_fills_its_page_is_answered(root, everybody, large):
    page = await listed(root, search="e", size=5)

    assert [user["id"] for user in page["items"]] == expected(everybody, search="e")[:5]
    assert page["total_is_estimate"] is True


@pytest.mark.parametrize("sort_by", ["created_at", "username", "email"])
@pytest.mark.parametrize("sort_order", ["asc", "desc"])
@pytest.mark.parametrize("page", [1, 2])
async def test_a_search_in_a_large_table_is_in_order(
    root, analyzed, small_bounds, sort_by, sort_order, page
):
    order = {"sort_by": sort_by, "sort_order": sort_order}

    found = await listed(root, search="example", size=9, page=page, **order)

    ids = expected(analyzed, search="example", **order)
    assert [user["id"] for user in found["items"]] == ids[9 * page - 9 : 9 * page]


async def test_a_frequent_name_at_the_end_of_an_order_is_refused_and_a_rare_one_found(
    root, runtime, everybody, large, monkeypatch
):
    monkeypatch.setattr(user_totals, "MAX_EXPECTED", -1)  # the planner takes it for frequent
    await add_users(runtime, 25)

    many = await root.get("/users", params={"search": "new.example", "sort_order": "asc"})
    few = await listed(root, search="new25", sort_order="asc")

    assert many.status_code == 422
    assert "longer part of the name" in many.json()["details"][0]["message"]
    assert (few["total"], len(few["items"])) == (1, 1)


async def test_a_search_of_few_users_in_a_state_reads_them_all(root, everybody, large):
    superusers = expected(everybody, is_superuser=True)
    assert len(superusers) <= user_totals.MAX_SCANNED

    page = await listed(root, search="zz", is_superuser=True)

    assert (page["items"], page["total"]) == ([], 0)


@pytest.fixture
def shallow(monkeypatch):
    monkeypatch.setattr(user_totals, "MAX_OFFSETS", {})
    monkeypatch.setattr(user_totals, "MAX_OFFSET", 20)


async def test_c36_a_page_too_far_from_the_start_names_the_cursor(root, everybody, shallow):
    """C36"""
    last = await listed(root, size=10, page=3)
    refused = await root.get("/users", params={"size": 10, "page": 4})

    assert len(last["items"]) == 10
    assert refused.status_code == 422
    (detail,) = refused.json()["details"]
    assert (detail["field"], detail["code"]) == ("page", "out_of_range")
    assert "/users/cursor" in detail["message"]


async def test_a_page_behind_the_end_is_empty_however_far(root, everybody, shallow):
    page = await listed(root, size=10, page=1_000_000)

    assert (page["items"], page["total"]) == ([], len(everybody))


async def test_a_filter_without_counters_is_refused_alike(root, runtime, small_bounds, shallow):
    await add_users(runtime, 60)
    far = PageParams(page=5, size=10)

    with pytest.raises(ValidationException):
        await runtime.user_lists.page(More(least_id=2), far)
    beyond = await runtime.user_lists.page(More(least_id=50), far)

    assert (beyond.items, beyond.total) == ([], 12)


@pytest.mark.parametrize("sort_by", ["created_at", "username", "email"])
async def test_a_deep_page_is_the_same_as_one_read_in_order(root, everybody, monkeypatch, sort_by):
    monkeypatch.setattr(lists, "DEEP", 5)

    page = await listed(root, size=5, page=4, sort_by=sort_by, is_active=True)

    ids = expected(everybody, is_active=True, sort_by=sort_by)
    assert [user["id"] for user in page["items"]] == ids[15:20]
    assert page["total"] == len(ids)


@pytest.mark.parametrize("params", [{"search": "example"}, {"sort_by": "username"}])
@pytest.mark.parametrize("path", ["/users", "/users/cursor"])
async def test_what_takes_too_long_in_a_large_table_is_refused_in_time(
    root, runtime, everybody, small_bounds, monkeypatch, params, path
):
    """As behind a lock on the table, which a slow disk is like."""
    monkeypatch.setattr(user_totals, "BOUND", 0.05)
    monkeypatch.setattr(runtime.user_lists.search, "_size", 10**7)
    monkeypatch.setattr(runtime.user_lists.search, "_expires", inf)
    monkeypatch.setattr(UserListRepository, "estimate", an_estimate)
    await root.get("/users/me")
    async with runtime.engine.begin() as connection:
        await connection.execute(text("LOCK TABLE users"))
        refused = await root.get(path, params=params)

    assert refused.status_code == 422
    assert refused.json()["details"][0]["field"] == ("search" if "search" in params else "page")


async def an_estimate(*_: object) -> PlanEstimate:
    """To plan waits for the lock as well."""
    return PlanEstimate(10**6, 1.0, reads_a_table=False)

"""Each index earns its place: what PostgreSQL plans among 100,000 users, with it and without."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import Select, make_url, text
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from app.cli.seed import SeedService
from app.core.config import Settings
from app.core.security import PasswordHasher
from app.core.security.signing import Position
from app.database import Reads, get_engine, get_session_maker
from app.database.migrations import migrate
from app.repositories.user import lists
from app.repositories.user.lists import Slice, UserListRepository
from app.repositories.user.repository import UserRepository
from app.schemas.list_params import SortOrder
from app.schemas.user_list import UserFilters
from app.services.user import totals
from tests.conftest import Servers

pytestmark = pytest.mark.direct

Plan = dict[str, Any]

USERS = 100_000
REPOSITORY = UserRepository(AsyncSession())  # it builds queries here and runs none
RARE, FREQUENT = "12345", "example"
MIDDLE = Position("2026-01-01T00:00:00+00:00", USERS // 2)
ORDERS = {
    "created_at": ("ix_users_created_at", MIDDLE),
    "username": ("uq_users_username_lower", Position("m", USERS // 2)),
    "email": ("uq_users_email", Position("m", USERS // 2)),
    "id": ("pk_users", Position(str(USERS // 2), USERS // 2)),
    "updated_at": ("ix_users_updated_at", MIDDLE),
}


@pytest.fixture(scope="module")
async def engine(servers: Servers, settings: Settings) -> AsyncIterator[AsyncEngine]:
    """A database of its own, of 100,000 users."""
    name = f"plans_{uuid4().hex}"
    admin = get_engine(settings.database, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(servers.postgres).set(database=name).render_as_string(hide_password=False)
    engine = get_engine(settings.replaced(database={"url": SecretStr(url)}).database)
    await migrate(engine)
    async with get_session_maker(engine)() as db:
        await SeedService(db, PasswordHasher()).seed(USERS, "irrelevant", lambda _: None)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        # Without, commits that need not be durable are not yet visible to everybody.
        await connection.execute(text("CHECKPOINT"))
        await connection.execute(text("VACUUM ANALYZE users"))
    yield engine
    await engine.dispose()
    async with admin.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {name}"))
    await admin.dispose()


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """In a transaction that is undone."""
    async with engine.connect() as connection:
        yield connection
        await connection.rollback()


async def plan_of(connection: AsyncConnection, query: Select[Any]) -> Plan:
    compiled = query.compile(dialect=asyncpg.dialect(), compile_kwargs={"literal_binds": True})
    explained = await connection.scalar(text(f"EXPLAIN (FORMAT JSON) {_quoted(str(compiled))}"))
    plan: Plan = (json.loads(explained) if isinstance(explained, str) else explained)[0]["Plan"]
    return plan


def _quoted(statement: str) -> str:
    return statement.replace(":", "\\:")  # which text() would take for a parameter


def nodes(plan: Plan) -> Iterator[Plan]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def indexes(plan: Plan) -> set[str]:
    return {node["Index Name"] for node in nodes(plan) if "Index Name" in node}


def kinds(plan: Plan) -> set[str]:
    return {node["Node Type"] for node in nodes(plan)}


def listed(**filters: Any) -> Select[Any]:
    return REPOSITORY.get_filtered_users(**filters).limit(50)


def first_superusers(sort_order: SortOrder = "desc") -> Select[Any]:
    """Ten, since fifty of the 500 that are here are found as well by sorting them all."""
    query = REPOSITORY.get_filtered_users(is_superuser=True, sort_order=sort_order)
    filters = UserFilters(is_superuser=True)
    return lists.select_page_and_count(query.limit(10), filters, totals.COUNT_LIMIT + 1)


def collected(query: Select[Any]) -> Select[Any]:
    return lists.select_sorted_page_and_count(query, UserFilters(), totals.MAX_COLLECTED + 1)


EARNED = {
    "ix_users_created_at": listed(),
    "ix_users_is_active_created_at": listed(is_active=False),
    "ix_users_search": listed(search=RARE),
    "uq_users_email": listed(sort_by="email"),
    "uq_users_username_lower": listed(sort_by="username"),
    "ix_users_updated_at": listed(sort_by="updated_at"),
    "ix_users_superusers_created_at": first_superusers(),
}


@pytest.mark.parametrize("index", EARNED)
async def test_each_index_is_used_and_without_it_the_same_costs_more(connection, index):
    with_it = await plan_of(connection, EARNED[index])
    is_constraint = index == "uq_users_email"
    await connection.execute(
        text(
            f"ALTER TABLE users DROP CONSTRAINT {index}" if is_constraint else f"DROP INDEX {index}"
        )
    )

    without = await plan_of(connection, EARNED[index])

    assert index in indexes(with_it)
    assert without["Total Cost"] > 1.2 * with_it["Total Cost"]


@pytest.mark.parametrize(
    "filters",
    [
        {"created_within": "7d"},
        {"created_within": "today", "is_active": False},
        {"created_to": "2000-01-01", "is_superuser": True},
        {"created_from": "2000-01-01", "created_to": "2000-01-31"},
    ],
    ids="-".join,
)
async def test_users_by_time_of_creation_are_listed_and_counted_from_an_index(connection, filters):
    given = UserFilters.model_validate(filters)
    page = lists.select_users(given).limit(50)

    plan = await plan_of(
        connection, lists.select_page_and_count(page, given, totals.COUNT_LIMIT + 1)
    )

    assert indexes(plan)
    assert all(index.endswith("created_at") for index in indexes(plan))
    assert "Seq Scan" not in kinds(plan)


@pytest.fixture
async def activity(connection) -> None:
    """One in ten users was never seen; one in a thousand is seen today, and the others were on the
    days of half a year. In the transaction that is undone."""
    await connection.execute(
        text(
            "INSERT INTO user_activity SELECT id, CAST(now() AT TIME ZONE 'UTC' AS date)"
            " - CASE WHEN id % 1000 = 1 THEN 0 ELSE 1 + CAST(id % 180 AS integer) END"
            " FROM users WHERE id % 10 <> 0"
        )
    )
    await connection.execute(text("ANALYZE user_activity"))


@pytest.mark.usefixtures("activity")
async def test_the_few_who_are_seen_today_are_found_by_the_index_of_days(connection):
    given = UserFilters(seen_within="today")
    page = lists.select_users(given).limit(50)

    plan = await plan_of(
        connection, lists.select_page_and_count(page, given, totals.COUNT_LIMIT + 1)
    )

    assert "ix_user_activity_seen_on" in indexes(plan)
    assert "Seq Scan" not in kinds(plan)


@pytest.mark.parametrize("filters", [{"not_seen_for": "30d"}, {"seen_within": "90d"}])
@pytest.mark.usefixtures("activity")
async def test_the_many_by_their_last_use_are_met_on_the_way(connection, filters):
    given = UserFilters.model_validate(filters)
    page = lists.select_page(lists.select_users(given).limit(50))

    plan = await plan_of(connection, page)

    assert indexes(plan) == {"ix_users_created_at", "pk_user_activity"}
    assert kinds(plan).isdisjoint({"Seq Scan", "Sort", "Hash"})


async def test_every_index_is_used_by_a_query(connection):
    names = await connection.scalars(
        text("SELECT indexname FROM pg_indexes WHERE tablename = 'users'")
    )

    assert set(names) == {*EARNED, "pk_users"}


@pytest.mark.parametrize("sort_order", ["asc", "desc"])
@pytest.mark.parametrize("sort_by", ORDERS)
async def test_a_page_behind_a_cursor_is_read_off_an_index_from_there(
    connection, sort_by, sort_order
):
    index, position = ORDERS[sort_by]
    filters = UserFilters(sort_by=sort_by, sort_order=sort_order)
    part = Slice(50, after=position)
    page = lists.select_page(lists._sliced(filters, part))

    plan = await plan_of(connection, page.params(lists._parameters(filters, part)))

    (scan,) = [node for node in nodes(plan) if "Index Name" in node]
    assert scan["Index Name"] == index
    assert "Index Cond" in scan
    assert "Sort" not in kinds(plan)  # at most an incremental one, which looks for ties


@pytest.mark.parametrize("is_active", [True, False, None])
@pytest.mark.parametrize("is_superuser", [True, False, None])
async def test_first_pages_by_state_use_an_index(connection, is_active, is_superuser):
    query = listed(is_active=is_active, is_superuser=is_superuser)

    plan = await plan_of(connection, query)

    assert indexes(plan)
    assert "Seq Scan" not in kinds(plan)
    # Inactive superusers are so few here that they may as well be sorted.
    assert "Sort" not in kinds(plan) or (is_superuser and is_active is False)


@pytest.mark.parametrize("sort_order", ["asc", "desc"])
async def test_the_first_superusers_are_read_off_an_index_and_their_number_off_counters(
    connection, sort_order
):
    plan = await plan_of(connection, first_superusers(sort_order))

    tables = {node["Relation Name"]: node for node in nodes(plan) if "Relation Name" in node}
    assert set(tables) == {"users", "user_counts"}
    assert tables["users"]["Index Name"] == "ix_users_superusers_created_at"
    assert "Sort" not in kinds(plan)


async def test_a_frequent_name_is_met_on_the_way_and_a_rare_one_is_looked_up(connection):
    frequent = await plan_of(connection, listed(search=FREQUENT))
    rare = await plan_of(connection, listed(search=RARE))

    assert indexes(frequent) == {"ix_users_created_at"}
    assert indexes(rare) == {"ix_users_search"}


async def test_those_who_are_collected_are_looked_up_whatever_their_order_promises(connection):
    """Somewhat more than are looked up where the order may be followed."""
    query = REPOSITORY.get_filtered_users(search="son")

    by_order = await plan_of(connection, query.limit(50))
    looked_up = await plan_of(connection, collected(query).params(limit=50, offset=0))

    assert indexes(by_order) == {"ix_users_created_at"}
    assert indexes(looked_up) == {"ix_users_search"}


@pytest.fixture
async def fresh(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection on which nothing was prepared, without transactions: as `Reads` uses it."""
    await engine.dispose()
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        yield connection
        await connection.invalidate()


async def plans_so_far(connection: AsyncConnection) -> tuple[int, int]:
    """How often statements on users were run by one plan for all, and by one of their own."""
    counted = await connection.execute(
        text(
            "SELECT sum(generic_plans), sum(custom_plans) FROM pg_prepared_statements"
            " WHERE statement LIKE '%FROM users%' AND statement NOT LIKE '%generic%'"
        )
    )
    generic, custom = counted.one()
    return generic, custom


@pytest.mark.parametrize(
    ("search", "is_looked_up"),
    [(RARE, True), ("lovelace9", True), (FREQUENT, False), ("e9", False), ("zz", False)],
)
async def test_all_are_looked_up_where_they_are_few_and_an_index_finds_them(
    engine, settings, search, is_looked_up
):
    """Two characters are in no trigram."""
    users = UserListRepository(Reads(engine, settings.database))

    expected = await users.estimate(UserFilters(search=search))

    assert totals.are_few(expected) is is_looked_up


async def test_a_search_prepared_once_is_still_planned_for_each_name(fresh):
    for name in [FREQUENT] * 8:
        await fresh.execute(lists.select_page(listed(search=name)))
    by_order = await plans_so_far(fresh)
    for name in [FREQUENT, *["lovelace"] * 8, RARE]:
        query = collected(REPOSITORY.get_filtered_users(search=name))
        await fresh.execute(query, {"limit": 50, "offset": 0})

    assert by_order == (0, 8)
    assert await plans_so_far(fresh) == (0, 18)


async def test_a_first_page_is_planned_once_for_each_connection(fresh):
    query = REPOSITORY.get_filtered_users(is_active=True)
    first = lists.sliced(query, UserFilters(), Slice(50))
    for _ in range(3):
        filters = UserFilters(is_active=True)
        await fresh.execute(lists.select_page_and_count(first, filters, 1001))

    assert await plans_so_far(fresh) == (3, 0)


@pytest.mark.parametrize("sort_order", ["asc", "desc"])
@pytest.mark.parametrize("sort_by", ORDERS)
async def test_a_search_in_order_reads_no_further_than_its_page(connection, sort_by, sort_order):
    filters = UserFilters(search=FREQUENT, sort_by=sort_by, sort_order=sort_order)
    everyone = filters.model_copy(update={"search": None})
    page = lists.select_page_among(lists.select_users(everyone), filters, totals.MAX_SCANNED)

    plan = await plan_of(connection, page.params(limit=50, offset=0))

    assert indexes(plan) == {ORDERS[sort_by][0]}
    assert "Sort" not in kinds(plan)
    assert "Seq Scan" not in kinds(plan)


@pytest.mark.parametrize("is_active", [None, True, False])
async def test_users_before_a_deep_page_are_skipped_in_an_index_alone(connection, is_active):
    filters = UserFilters(is_active=is_active)
    page = lists.select_deep_page_and_count(lists.select_users(filters), filters, None)

    plan = await plan_of(connection, page.params(limit=50, offset=5_000))

    skipped = [node for node in nodes(plan) if node["Node Type"] == "Index Only Scan"]
    assert len(skipped) == 1
    assert indexes(plan) == {skipped[0]["Index Name"], "pk_users"}

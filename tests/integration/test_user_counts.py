"""Counters of users: equal to a full count after whatever changes the table."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.database import get_engine, get_session_maker
from app.database.migrations import migrate
from app.embedded.postgres import _POSTGRES_BIN
from app.repositories.user.statistics import UserCounts, UserStatisticsRepository
from app.schemas.background.jobs import CompactUserCounts, RecountUsers
from app.services.user.counts import UserCountService
from tests.integration.test_scheduled_jobs import run

pytestmark = pytest.mark.direct

# Of every state, each some hours older than the one before: in every bucket, and outside of all.
ADD = """
    INSERT INTO users (email, username, hashed_password, is_active, is_superuser, created_at)
    SELECT n || :name, n || :name, '', n % 3 > 0, n % 5 = 0, now() - n * interval '7 hours'
    FROM generate_series(1, 300) n
"""
FULL_COUNT = """
    SELECT count(*), count(*) FILTER (WHERE NOT is_active), count(*) FILTER (WHERE is_superuser),
        count(*) FILTER (WHERE created_at >= date_trunc('day', now(), 'UTC')),
        count(*) FILTER (WHERE created_at > now() - interval '7 days'), now()
    FROM users
"""


@pytest.fixture
async def session(client, runtime) -> AsyncIterator[AsyncConnection]:
    """A transaction, beside that of the test."""
    async with runtime.engine.connect() as connection:
        yield connection


@pytest.fixture
async def other(runtime) -> AsyncIterator[AsyncConnection]:
    async with runtime.engine.connect() as connection:
        yield connection


async def add(connection: AsyncConnection, name: str = "x") -> None:
    await connection.execute(text(ADD), {"name": name})


async def change(connection: AsyncConnection, statement: str) -> None:
    await connection.execute(text(statement))
    await connection.commit()


async def rows_of(runtime: Any) -> int:
    async with runtime.engine.connect() as connection:
        return await connection.scalar(text("SELECT count(*) FROM user_counts")) or 0


async def error(runtime: Any) -> int:
    async with runtime.session_maker() as db:
        return await UserCountService(db).error()


async def recount(runtime: Any) -> int:
    async with runtime.session_maker() as db:
        return await UserCountService(db).recount()


async def compact(runtime: Any) -> None:
    async with runtime.session_maker() as db:
        await UserCountService(db).compact()


async def are_exact(runtime: Any) -> bool:
    """Whether the statistics equal a full count of the same transaction, and so do all counters."""
    async with runtime.session_maker() as db:
        counted = UserCounts(*(await db.execute(text(FULL_COUNT))).one())
        return await UserStatisticsRepository(db).count_by_state() == counted and not await error(
            runtime
        )


CHANGES = {
    "insert": "SELECT",
    "change of states": "UPDATE users SET is_active = NOT is_active, is_superuser = id % 2 = 0",
    "change of age": "UPDATE users SET created_at = created_at + interval '100 days'",
    "exchange of states": "UPDATE users SET is_active = is_superuser, is_superuser = is_active",
    "deletion": "DELETE FROM users WHERE id % 7 > 2",
    "upsert": "INSERT INTO users (email, username, hashed_password) VALUES ('1x', 'z', ''),"
    " ('new', 'new', '') ON CONFLICT (email) DO UPDATE SET is_active = false",
    "merge": "MERGE INTO users USING (VALUES ('2x'), ('n')) v (email) ON users.email = v.email"
    " WHEN MATCHED THEN DELETE"
    " WHEN NOT MATCHED THEN INSERT (email, username, hashed_password) VALUES (v.email, 'n', '')",
    "several in one": "WITH gone AS (DELETE FROM users WHERE id % 2 = 0 RETURNING *)"
    " INSERT INTO users (email, username, hashed_password, created_at)"
    " SELECT 'r' || email, 'r' || username, '', created_at FROM gone",
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES)
async def test_counters_follow_every_change(session, runtime, statement):
    await add(session)
    await change(session, statement)

    assert await are_exact(runtime)


async def test_a_statement_adds_a_row_for_each_kind_of_user_and_not_for_each_user(session, runtime):
    insert = (
        "INSERT INTO users (email, username, hashed_password, is_active)"
        " SELECT n || :name, n || :name, '', n % 2 = 0 FROM generate_series(1, 1000) n"
    )
    await session.execute(text(insert), {"name": "a"})
    await session.commit()

    assert await rows_of(runtime) == 3  # active, inactive, and the hour


async def test_copy_adds_a_row_for_each_kind_of_user(session, runtime):
    driver = (await session.get_raw_connection()).driver_connection
    assert driver is not None
    records = [(f"{n}@x", f"{n}x", "", datetime.now(UTC)) for n in range(500)]
    columns = ("email", "username", "hashed_password", "created_at")
    await driver.copy_records_to_table("users", records=records, columns=columns)

    assert await are_exact(runtime)
    assert await rows_of(runtime) <= 3  # two, unless an hour has just begun


async def test_a_change_of_other_columns_adds_nothing(session, runtime):
    await add(session)
    await session.commit()
    before = await rows_of(runtime)

    await change(session, "UPDATE users SET full_name = 'Ada', hashed_password = 'x'")

    assert await rows_of(runtime) == before


async def test_a_rollback_takes_the_counters_back(session, runtime):
    await add(session)
    await session.commit()
    await session.execute(text("DELETE FROM users WHERE id % 2 = 0"))
    async with session.begin_nested() as attempt:
        await add(session, "y")
        await attempt.rollback()
    await session.rollback()

    assert await are_exact(runtime)


async def test_sign_ups_at_once_wait_for_no_counter(session, other, runtime):
    await add(session)
    async with asyncio.timeout(5):
        await add(other, "y")
        await other.execute(text("DELETE FROM users WHERE username LIKE '%y' AND id % 2 = 0"))
        await other.commit()
    in_between = await are_exact(runtime)
    await session.commit()

    assert in_between
    assert await are_exact(runtime)


async def test_a_reader_sees_users_and_counters_of_one_moment(session, other, runtime):
    await add(session)
    await session.commit()
    await other.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    before = await other.scalar(text("SELECT count(*) FROM users"))

    await change(session, "DELETE FROM users WHERE id % 2 = 0")
    await compact(runtime)

    total = "SELECT sum(delta) FROM user_counts WHERE bucket IS NULL"
    assert await other.scalar(text(total)) == before == 300


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
async def test_truncate_empties_the_counters(session, other, runtime, isolation):
    """In a transaction that does not see all counters, too."""
    await other.execute(text(f"SET TRANSACTION ISOLATION LEVEL {isolation}"))
    await other.execute(text("SELECT 1 FROM users"))
    await add(session)
    await session.commit()
    await change(other, "TRUNCATE users CASCADE")
    await add(session, "y")
    await session.commit()

    assert await are_exact(runtime)


async def test_truncate_of_both_tables_at_once_is_allowed(session, runtime):
    await add(session)
    await change(session, "TRUNCATE users, user_counts CASCADE")

    assert await are_exact(runtime)
    assert await rows_of(runtime) == 0


async def test_a_compaction_leaves_a_row_for_each_kind_of_user(session, runtime):
    for name in "abc":
        await add(session, name)
        await session.commit()
    before = await rows_of(runtime)

    await compact(runtime)

    assert await rows_of(runtime) < before / 2
    assert await are_exact(runtime)
    kinds = await session.execute(
        text("SELECT count(*), count(DISTINCT (bucket, is_active, is_superuser)) FROM user_counts")
    )
    rows, different = kinds.one()
    assert rows == different


async def test_a_compaction_with_nothing_to_sum_up_changes_no_row(session, runtime):
    await add(session)
    await session.commit()
    await compact(runtime)
    ids = "SELECT array_agg(id ORDER BY id) FROM user_counts"
    before = await session.scalar(text(ids))
    await session.rollback()

    await compact(runtime)

    assert await session.scalar(text(ids)) == before


async def test_a_compaction_makes_larger_buckets_of_old_ones(session, runtime):
    await add(session)
    await change(
        session,
        "UPDATE user_counts SET bucket = date_trunc('hour', now(), 'UTC') - n * interval '5 hours'"
        " FROM (SELECT id AS place, row_number() OVER () AS n FROM user_counts"
        " WHERE bucket IS NOT NULL) numbered WHERE id = place",
    )
    await compact(runtime)

    buckets = await session.scalars(text("SELECT bucket FROM user_counts WHERE bucket IS NOT NULL"))
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    old = [bucket for bucket in buckets if bucket < today - timedelta(days=8)]
    assert old
    assert all(bucket.hour == 0 for bucket in old if bucket.year > 1)


async def test_compactions_at_once_and_inserts_meanwhile_lose_nothing(session, runtime):
    await add(session)
    await session.commit()

    async def sign_up(name: str) -> None:
        async with runtime.engine.begin() as connection:
            await add(connection, name)

    await asyncio.gather(*(compact(runtime) for _ in range(4)), *(sign_up(name) for name in "abcd"))
    await compact(runtime)

    assert await are_exact(runtime)
    total = "SELECT sum(delta) FROM user_counts WHERE bucket IS NULL"
    assert await session.scalar(text(total)) == 1500


async def test_a_compaction_does_not_wait_for_a_transaction_that_is_open(session, runtime):
    await add(session)

    async with asyncio.timeout(5):
        await compact(runtime)
    await session.commit()

    assert await are_exact(runtime)


@pytest.fixture
async def wrong(session, runtime) -> int:
    """Users that came past the triggers, as by a replica; their number."""
    await add(session)
    await session.commit()
    await session.execute(text("SET LOCAL session_replication_role = replica"))
    await add(session, "past")
    await session.commit()
    return 2 * 300  # once by state and once by bucket


async def test_counters_that_are_wrong_are_found_and_corrected_by_how_many(session, runtime, wrong):
    assert await error(runtime) == wrong

    assert [await recount(runtime) for _ in range(2)] == [wrong, 0]
    assert await are_exact(runtime)


async def test_two_corrections_at_once_are_made_once(session, runtime, wrong):
    errors = await asyncio.gather(*(recount(runtime) for _ in range(3)))

    assert sorted(errors) == [0, 0, wrong]
    assert await are_exact(runtime)


async def test_a_correction_while_users_are_changed_counts_each_once(
    session, other, runtime, wrong
):
    await add(other, "open")

    async with asyncio.timeout(10):
        await recount(runtime)
    await other.commit()

    assert await are_exact(runtime)


async def test_jobs_compact_and_correct(session, runtime, wrong):
    await run(runtime, RecountUsers())
    await run(runtime, CompactUserCounts())

    assert await are_exact(runtime)


@pytest.fixture
async def database(servers, settings) -> AsyncIterator[URL]:
    """An empty database."""
    name = f"counts_{uuid4().hex}"
    admin = get_engine(settings.database, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(servers.postgres).set(database=name)
    async with admin.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await admin.dispose()


@pytest.fixture
async def empty(database: URL, settings) -> AsyncIterator[AsyncEngine]:
    url = SecretStr(database.render_as_string(hide_password=False))
    engine = get_engine(settings.replaced(database={"url": url}).database)
    yield engine
    await engine.dispose()


async def errors_in(engine: AsyncEngine) -> int:
    async with get_session_maker(engine)() as db:
        return await UserCountService(db).error()


async def test_a_migration_counts_those_who_are_there_and_those_who_come_meanwhile(empty):
    await migrate(empty, "0016")
    async with empty.begin() as connection:
        await add(connection)

    async def sign_up(name: str) -> None:
        async with empty.begin() as connection:
            await add(connection, name)

    await asyncio.gather(migrate(empty), *(sign_up(name) for name in "abcdef"))

    assert await errors_in(empty) == 0
    async with empty.connect() as connection:
        total = "SELECT sum(delta) FROM user_counts WHERE bucket IS NULL"
        assert await connection.scalar(text(total)) == 7 * 300


async def test_an_interrupted_migration_is_repeated(empty):
    await migrate(empty)
    async with empty.begin() as connection:
        await add(connection)
        await connection.execute(text("UPDATE alembic_version SET version_num = '0016'"))

    await migrate(empty, "0017")

    assert await errors_in(empty) == 0


STRICT = "-X", "-q", "-v", "ON_ERROR_STOP=1"


def pg(program: str, url: URL, *options: str, script: str = "") -> str:
    """Run a program of PostgreSQL's."""
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    command = [str(_POSTGRES_BIN / program), *options, "--dbname", plain]
    return subprocess.run(
        command, input=script, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


async def test_a_restored_dump_has_the_counters_and_goes_on_counting(
    session, runtime, servers, database, empty
):
    await add(session)
    await session.commit()
    dump = await asyncio.to_thread(pg, "pg_dump", make_url(servers.direct))

    await asyncio.to_thread(pg, "psql", database, *STRICT, script=dump)
    async with empty.begin() as connection:
        await add(connection, "y")

    assert await errors_in(empty) == 0


@pytest.mark.parametrize(
    "options", [["--disable-triggers"], ["--exclude-table-data=user_counts"]], ids=" ".join
)
async def test_data_alone_is_restored_with_the_counters_or_with_their_triggers(
    session, servers, database, empty, options
):
    """The triggers find their table without a search path, which a dump does not set."""
    await migrate(empty)
    await add(session)
    await session.commit()
    tables = "--data-only", "--table=users", "--table=user_counts"
    dump = await asyncio.to_thread(pg, "pg_dump", make_url(servers.direct), *tables, *options)
    await asyncio.to_thread(pg, "psql", database, *STRICT, script=dump)

    assert await errors_in(empty) == 0
    async with empty.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM users")) == 300

"""The statistics, right to the moment, on a real database."""

from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, insert, text

from app.models import User
from app.services.dashboard import DashboardService


@pytest.fixture
async def db(runtime, client):
    async with runtime.session_maker() as db:
        yield db


@pytest.fixture
def dashboard(db):
    return DashboardService(lambda: nullcontext(db))


async def add(db, name: str, **fields) -> None:
    user = {"email": f"{name}@example.com", "username": name, "hashed_password": "-", **fields}
    await db.execute(insert(User).values(user))


async def test_an_empty_table_gives_zero_counts(db, dashboard):
    stats = await dashboard.get_dashboard_stats_optimized()

    assert stats.model_dump(exclude={"timestamp"}) == {
        "total_users": 0,
        "active_users": 0,
        "inactive_users": 0,
        "superusers": 0,
        "new_users_today": 0,
        "new_users_week": 0,
    }


async def test_users_are_counted_by_state(db, dashboard):
    long_ago = datetime(2020, 2, 29, tzinfo=UTC)
    await add(db, "ada", created_at=long_ago)
    await add(db, "bob", created_at=long_ago, is_active=False)
    await add(db, "cleo", created_at=long_ago, is_superuser=True)
    await add(db, "dan", created_at=long_ago, is_superuser=True, is_active=False)
    await add(db, "eve")

    stats = await dashboard.get_dashboard_stats_optimized()

    assert stats.total_users == 5
    assert (stats.active_users, stats.inactive_users) == (3, 2)
    assert stats.superusers == 2
    assert (stats.new_users_today, stats.new_users_week) == (1, 1)


@pytest.mark.parametrize(
    ("before_midnight", "today"),
    [(timedelta(microseconds=1), 0), (timedelta(0), 1), (timedelta(microseconds=-1), 1)],
)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
async def test_today_begins_at_midnight_utc(db, dashboard, zone, before_midnight, today):
    await db.execute(text(f"SET LOCAL timezone = '{zone}'"))
    now = await db.scalar(text("SELECT now()"))
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    await add(db, "ada", created_at=midnight - before_midnight)

    stats = await dashboard.get_dashboard_stats_optimized()

    assert stats.new_users_today == today


@pytest.mark.parametrize(("late", "week"), [(timedelta(0), 0), (timedelta(microseconds=1), 1)])
async def test_a_week_is_seven_times_24_hours(db, dashboard, late, week):
    now = await db.scalar(text("SELECT now()"))
    await add(db, "ada", created_at=now - timedelta(days=7) + late)

    stats = await dashboard.get_dashboard_stats_optimized()

    assert stats.new_users_week == week


async def test_statistics_take_one_statement_and_load_no_users(db, dashboard, statements):
    await add(db, "ada")
    statements.clear()

    stats = await dashboard.get_dashboard_stats_optimized()

    assert len(statements) == 1
    assert stats.timestamp.utcoffset() == timedelta(0)
    assert db.identity_map.values() == []


@contextmanager
def heard(runtime, sent):
    """Statements with their parameters, within the block."""

    def hear(_connection, _cursor, statement, parameters, *_):
        sent.append((statement, parameters))

    event.listen(runtime.engine.sync_engine, "before_cursor_execute", hear)
    yield
    event.remove(runtime.engine.sync_engine, "before_cursor_execute", hear)


async def test_no_count_reads_the_table(runtime, client):
    async with runtime.engine.begin() as connection:
        # VACUUM marks no page as visible to all before the commit is on the disk.
        await connection.execute(text("SET LOCAL synchronous_commit = on"))
        await connection.execute(
            text(
                "INSERT INTO users (email, username, hashed_password, is_active, is_superuser,"
                " created_at) SELECT n || '@example.com', 'user' || n, repeat('h', 97),"
                " n % 10 > 0, n % 200 = 0, now() - n * interval '1 minute'"
                " FROM generate_series(1, 100000) AS n"
            )
        )
    async with runtime.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE users"))
    sent: list[tuple[str, tuple[object, ...]]] = []
    with heard(runtime, sent):
        await runtime.user_statistics.get_dashboard_stats_optimized()
    ((statement, values),) = sent

    async with runtime.engine.connect() as connection:
        explained = await connection.exec_driver_sql(f"EXPLAIN {statement}", values)
        plan = "\n".join(explained.scalars())

    assert plan.count("Index Only Scan using ix_users_created_at") == 1, plan
    assert "on users" not in plan.replace("ix_users_created_at on users", ""), plan

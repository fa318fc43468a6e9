"""Partitions of the audit trail, on a database of their own: made ahead, dropped, by any role."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import Settings
from app.database import get_session_maker
from app.database.migrations import migrate
from app.runtime import Runtime
from app.schemas.audit import Action, Target
from app.schemas.background.jobs import RotateAudit
from app.services.audit_log.service import MONTHS_AHEAD, AuditService
from app.services.base import BaseService
from app.worker.registry import JOBS
from tests.conftest import Servers
from tests.databases import engine_of, new_database

pytestmark = pytest.mark.direct

PARTITIONS = """
    SELECT relid::regclass::text FROM pg_partition_tree('audit_events') WHERE isleaf ORDER BY 1
"""
AHEAD = """
    SELECT to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month',
        '"audit_events_"YYYY_MM')
    FROM generate_series(0, 2) AS n
"""
INSERT = """
    INSERT INTO audit_events (created_at, action, outcome, actor)
    VALUES ({}, 'user.updated', 'success', 'user:1')
"""
YEAR = 365 * 86_400.0


class Trail:
    """The table, and a service on it."""

    def __init__(self, engine: AsyncEngine, runtime: Runtime) -> None:
        self.engine = engine
        self.session_maker = get_session_maker(engine)
        self._runtime = runtime

    async def rotate(self, retention: float = YEAR) -> None:
        async with self.session_maker() as db:
            await AuditService(db, self._runtime.cursors, self._runtime.exports).rotate(retention)

    async def execute(self, *statements: str) -> None:
        async with self.engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    async def values(self, query: str) -> list[str]:
        async with self.engine.connect() as connection:
            return [str(value) for value in await connection.scalars(text(query))]

    async def record(self) -> None:
        async with self.session_maker() as db:
            service = BaseService(db)
            async with service.transaction():
                service.audit.record(Action.USER_UPDATED, Target("user", 1))


@pytest.fixture
async def url(servers: Servers) -> AsyncIterator[str]:
    async with new_database(servers.direct) as url:
        yield url


@pytest.fixture
async def trail(url: str, settings: Settings, runtime: Runtime) -> AsyncIterator[Trail]:
    database = settings.replaced(database={"url": SecretStr(url)}).database
    async with engine_of(database) as engine:
        await migrate(engine)
        yield Trail(engine, runtime)


async def test_the_coming_months_have_partitions_and_making_them_again_makes_none(trail: Trail):
    expected = sorted([*await trail.values(AHEAD), "audit_events_default"])
    assert len(expected) == MONTHS_AHEAD + 2
    assert await trail.values(PARTITIONS) == expected

    await trail.rotate()

    assert await trail.values(PARTITIONS) == expected


async def test_events_without_a_partition_are_kept_and_get_one(trail: Trail):
    await trail.execute(
        INSERT.format("'2001-02-03'"),
        INSERT.format("'2001-04-05'"),
    )
    assert await trail.values("SELECT count(*) FROM audit_events_default") == ["2"]

    await trail.rotate(retention=100 * YEAR)

    assert await trail.values("SELECT count(*) FROM audit_events_default") == ["0"]
    assert await trail.values("SELECT count(*) FROM audit_events_2001_02") == ["2"]
    with pytest.raises(DBAPIError, match="never changed or deleted"):
        await trail.execute("TRUNCATE audit_events_2001_02")
    with pytest.raises(DBAPIError, match="never changed or deleted"):
        await trail.execute("TRUNCATE audit_events_default")


async def test_a_worker_that_was_away_for_months_makes_the_missing_partitions(trail: Trail):
    names = await trail.values(AHEAD)
    await trail.execute(*(f"DROP TABLE {name}" for name in names), INSERT.format("now()"))

    await trail.rotate()

    assert await trail.values(PARTITIONS) == sorted([*names, "audit_events_default"])
    assert await trail.values(f"SELECT count(*) FROM {names[0]}") == ["1"]


async def test_months_that_are_older_than_the_retention_are_dropped_and_that_is_an_event(
    trail: Trail,
):
    await trail.execute(INSERT.format("'2001-02-03'"), INSERT.format("now()"))
    await trail.rotate()

    assert "audit_events_2001_02" not in await trail.values(PARTITIONS)
    remaining = await trail.values("SELECT action FROM audit_events ORDER BY id")
    assert remaining == ["user.updated", "audit.expired"]
    after = "SELECT after->'partitions'->>0 FROM audit_events WHERE action = 'audit.expired'"
    assert await trail.values(after) == ["audit_events_2001_02"]


async def test_less_than_thirty_days_are_refused_by_the_database_itself(trail: Trail):
    with pytest.raises(DBAPIError, match="30 days at least"):
        await trail.rotate(retention=86_400)


async def test_a_role_that_owns_nothing_records_and_rotates_and_cannot_do_more(
    trail: Trail, url: str, settings: Settings, runtime: Runtime
):
    role = make_url(url).database
    await trail.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT EXECUTE ON FUNCTION audit_partitions_ahead, audit_partitions_drop TO {role}",
        INSERT.format("'2001-02-03'"),
    )
    try:
        own = make_url(url).set(username=role, password="x")
        told = {"url": SecretStr(own.render_as_string(hide_password=False))}
        async with engine_of(settings.replaced(database=told).database) as engine:
            theirs = Trail(engine, runtime)
            await theirs.record()
            await theirs.rotate()
            for statement, refusal in {
                "DELETE FROM audit_events": "never changed or deleted",
                "DROP TABLE audit_events_default": "must be owner",
                "ALTER TABLE audit_events DISABLE TRIGGER ALL": "must be owner",
                "SET session_replication_role = replica": "permission denied",
            }.items():
                with pytest.raises(DBAPIError, match=refusal):
                    await theirs.execute(statement)
    finally:
        await trail.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")

    recorded = await trail.values("SELECT action FROM audit_events ORDER BY id")
    assert recorded == ["user.updated", "audit.expired"]


async def test_the_scheduled_job_rotates_the_partitions(client, runtime: Runtime):
    (job,) = [job for job in JOBS if job.payload is RotateAudit]
    await job.handler(runtime, RotateAudit())

    async with runtime.engine.connect() as connection:
        names = list(await connection.scalars(text(PARTITIONS)))
    assert set(names) >= set(await _ahead(runtime))


async def _ahead(runtime: Runtime) -> list[str]:
    async with runtime.engine.connect() as connection:
        return list(await connection.scalars(text(AHEAD)))

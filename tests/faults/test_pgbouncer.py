"""R10: a real PgBouncer in transaction mode, whose few connections to the server change hands."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cli.seed import SeedService
from app.core.config import DatabaseSettings, Settings, SettingsError
from app.database import get_session_maker, ping
from app.database.errors import connection_failure, sqlstate
from app.database.schema_state import current_revision, head_revision
from tests.conftest import PASSWORD, Servers, browsing, person, running
from tests.databases import engine_of, new_database
from tests.pgbouncer import POOL_SIZE, pgbouncer
from tests.process import instance

QUERY_CANCELED = "57014"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that PgBouncer may enter, as nobody."""
    with TemporaryDirectory(prefix="backend-api-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def pooled(servers: Servers, settings: Settings, place: Path) -> Iterator[DatabaseSettings]:
    """The run's PostgreSQL behind a PgBouncer of this module's own."""
    with pgbouncer(servers.direct, place) as url:
        database = {"url": SecretStr(url), "pooler": "transaction"}
        yield settings.replaced(database=database).database


async def of_each_server_connection(engine: AsyncEngine, query: str) -> list[str]:
    """What `query` gives on every connection that the pooler has to the server."""

    async def ask() -> tuple[int, str]:
        async with engine.connect() as connection:
            # Within one transaction the server connection stays the same; all are held at once.
            pid = await connection.scalar(text("SELECT pg_backend_pid() FROM pg_sleep(0.3)"))
            return pid or 0, str(await connection.scalar(text(query)))

    found = dict(await asyncio.gather(*(ask() for _ in range(POOL_SIZE))))
    assert len(found) == POOL_SIZE
    return list(found.values())


POOLED = (
    *("access_matrix", "api_keys", "audit_lists", "audit_partitions", "audit_trail"),
    *("bulk_operations", "database_errors", "idempotency", "impersonation", "job_queue"),
    *("migrations", "principal_cache", "reads"),
    *("refresh_grace", "roles", "scheduled_jobs", "schema_changes", "sessions", "transfers"),
    *("user_counts", "user_export", "user_filters", "user_import", "user_totals", "worker"),
)
"""Every operation and page once, which the matrix calls as superuser, and what a pooler may change:
transactions, locks, cursors, prepared statements, notifications, a schema that changes."""
CHOSEN = "not access_matrix or superuser"


@pytest.mark.timeout(600)
def test_the_integration_tests_of_the_database_pass(repository: Path):
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("PYTEST_")}
    files = [f"tests/integration/test_{name}.py" for name in POOLED]
    command = [sys.executable, "-m", "pytest", "--pgbouncer", "-q", "-x", "-k", CHOSEN]
    in_parallel = ["-n", "2", "--dist", "loadfile"]

    run = subprocess.run(
        [*command, *in_parallel, *files],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-8000:]
    assert "prepared statement" not in run.stdout


async def visit(url: str, visitor: int) -> list[int]:
    """Statuses of what somebody does with an account, from signing up to logging out."""
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=30) as client:
        account = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
        answers = [
            await client.post("/users", json=account),
            await client.post("/auth/login", json=account),
        ]
        client.headers["Authorization"] = f"Bearer {answers[-1].json()['access_token']}"
        for turn in range(10):
            answers += [
                await client.patch("/users/me", json={"full_name": f"Visitor {visitor} {turn}"}),
                await client.get("/users/me"),
                await client.get("/auth/sessions"),
            ]
        answers.append(await client.post("/auth/logout"))
        return [answer.status_code for answer in answers]


async def test_two_processes_share_a_few_connections_and_leave_nothing_on_them(
    client, servers, pooled, place
):
    told = {
        "DATABASE_URL": pooled.url.get_secret_value(),
        "DATABASE_POOLER": "transaction",
        "LIMITER_ENABLED": "false",
        "CACHE_ENABLED": "false",  # every request asks the database who it is from
    }
    with ExitStack() as stack:
        first, second = (stack.enter_context(instance(servers, place, **told)) for _ in range(2))
        statuses = await asyncio.gather(
            *(visit((first, second)[number % 2].url, number) for number in range(16))
        )
        logs = first.log.read_text() + second.log.read_text()
        async with engine_of(pooled) as engine:
            left = "SELECT count(*) FROM pg_prepared_statements WHERE name <> ''"
            statements = await of_each_server_connection(engine, left)

    assert statuses == [[201, 200, *[200] * 30, 204]] * 16
    assert "prepared statement" not in logs
    assert statements == ["0"] * POOL_SIZE


async def test_settings_hold_in_each_transaction_and_on_no_connection(pooled):
    async with engine_of(pooled) as engine:
        within = await of_each_server_connection(engine, "SHOW statement_timeout")
    async with engine_of(pooled, isolation_level="AUTOCOMMIT") as engine:
        outside = await asyncio.gather(*(setting(engine) for _ in range(POOL_SIZE)))

    assert within == ["25s"] * POOL_SIZE
    assert outside == ["0"] * POOL_SIZE


async def setting(engine: AsyncEngine) -> str:
    query = "SELECT current_setting('statement_timeout') FROM pg_sleep(0.3)"
    async with engine.connect() as connection:
        return str(await connection.scalar(text(query)))


async def test_the_server_ends_a_statement_that_takes_too_long(pooled):
    hasty = pooled.model_copy(update={"statement_timeout": 0.2})
    async with engine_of(hasty) as engine, engine.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("SELECT pg_sleep(10)"))

    assert sqlstate(caught.value) == QUERY_CANCELED


async def test_when_the_server_drops_the_poolers_connections_requests_soon_succeed(
    settings, servers, empty
):
    name = make_url(empty.url.get_secret_value()).database or ""
    past = of_name(name, SecretStr(servers.direct))
    told = {"url": empty.url, "pooler": "transaction", "migration_url": past}
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
    admin = await asyncpg.connect(servers.direct)
    async with running(settings.replaced(database=told)) as app, browsing(app) as visitor:
        ada = await person(visitor, app.state.runtime, "ada")
        await admin.execute(ends, name)

        answers = [await ada.get("/auth/sessions") for _ in range(3 * POOL_SIZE)]

    await admin.close()
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 503}
    assert set(statuses[2 * POOL_SIZE :]) == {200}


async def test_a_pooler_that_the_settings_do_not_name_is_refused(pooled):
    async with engine_of(pooled.model_copy(update={"pooler": "none"})) as engine:
        with pytest.raises(DBAPIError, match="unsupported startup parameter"):
            await ping(engine)


async def test_c17_and_is_told_which_setting_says_so(pooled):
    """C17"""
    async with engine_of(pooled.model_copy(update={"pooler": "none"})) as engine:
        with pytest.raises(DBAPIError) as caught:
            await ping(engine)

    assert "set DATABASE_POOLER" in (connection_failure(caught.value) or "")


@pytest.fixture(scope="module")
def in_sessions(servers: Servers, settings: Settings) -> Iterator[DatabaseSettings]:
    """PostgreSQL behind a PgBouncer that gives each client a connection of its own."""
    with (
        TemporaryDirectory(prefix="backend-api-") as folder,
        pgbouncer(servers.direct, Path(folder), pool_mode="session") as url,
    ):
        yield settings.replaced(database={"url": SecretStr(url), "pooler": "session"}).database


async def test_c17_in_session_mode_settings_and_statements_stay(in_sessions):
    async with engine_of(in_sessions, pool_size=1, max_overflow=0) as engine:
        for _ in range(2):
            async with engine.connect() as connection:
                assert await connection.scalar(text("SHOW statement_timeout")) == "25s"
                assert await connection.scalar(text("SHOW jit")) == "off"
                left = text("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")
                assert await connection.scalar(left) > 0


async def test_c17_a_start_migrates_through_a_pooler_in_session_mode(
    settings, servers, in_sessions
):
    async with new_database(servers.direct) as own:
        url = of_name(make_url(own).database or "", in_sessions.url)
        told = settings.replaced(database={"url": url, "pooler": "session"})
        async with running(told) as app, browsing(app) as visitor:
            assert (await visitor.get("/health/ready")).status_code == 200
            ada = await person(visitor, app.state.runtime, "ada")
            assert (await ada.get("/auth/sessions")).status_code == 200


async def test_people_are_copied_in(client, runtime, pooled):
    async with engine_of(pooled) as engine, get_session_maker(engine)() as db:
        await SeedService(db, runtime.passwords).seed(7000, PASSWORD, lambda _: None)

    async with runtime.engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM users")) == 7000


@pytest.fixture
async def empty(servers: Servers, pooled: DatabaseSettings) -> AsyncIterator[DatabaseSettings]:
    """An empty database behind the pooler."""
    async with new_database(servers.direct) as url:
        name = make_url(url).database or ""
        yield pooled.model_copy(update={"url": of_name(name, pooled.url)})


def of_name(name: str, url: SecretStr | None) -> SecretStr:
    assert url is not None
    renamed = make_url(url.get_secret_value()).set(database=name)
    return SecretStr(renamed.render_as_string(hide_password=False))


async def test_a_start_migrates_past_the_pooler(settings, servers, empty):
    assert empty.url is not None
    name = make_url(empty.url.get_secret_value()).database or ""
    past = {"url": empty.url, "pooler": "transaction"}
    past["migration_url"] = of_name(name, SecretStr(servers.direct))

    async with running(settings.replaced(database=past)) as app, browsing(app) as visitor:
        assert (await visitor.get("/health/ready")).status_code == 200
    async with engine_of(empty) as engine:
        assert await current_revision(engine) == head_revision()


async def test_no_migration_is_tried_through_the_pooler(settings, empty):
    told = settings.replaced(database={"url": empty.url, "pooler": "transaction"})
    told = told.replaced(database={"migration_url": None})

    with pytest.raises(SettingsError, match="DATABASE_MIGRATION_URL"):
        async with running(told):
            pass
    async with engine_of(empty) as engine:
        assert await current_revision(engine) is None

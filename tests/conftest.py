"""Real servers for the whole run, an application on them, and people who use it."""

import atexit
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.config import Settings, variables

for name in variables():  # a developer's own settings are no business of the tests
    os.environ.pop(name, None)
os.environ["ENVIRONMENT"] = "test"
os.environ["SERVER_DRAIN"] = "0"  # the servers of the tests have no proxy to wait for

from app import periodic  # noqa: E402  # reads the environment made just now
from app.core.config import load_settings  # noqa: E402
from app.core.logging import configure_logging  # noqa: E402
from app.core.redis import client as redis  # noqa: E402
from app.core.security.passwords import hashing  # noqa: E402
from app.database import Base, get_engine  # noqa: E402
from app.database.migrations import migrate  # noqa: E402
from app.embedded.account import accounts  # noqa: E402
from app.embedded.postgres import EmbeddedPostgres  # noqa: E402
from app.embedded.valkey import EmbeddedValkey  # noqa: E402
from app.runtime import Runtime  # noqa: E402
from app.schemas.user import UserCreate  # noqa: E402
from main import create_app  # noqa: E402
from tests.audited import SEEN, NotingTransport, secrets_in_the_audit_trail  # noqa: E402
from tests.databases import OWN_POSTGRES, OWN_REDIS, own_postgres, own_redis  # noqa: E402
from tests.pgbouncer import pgbouncer  # noqa: E402

logging.getLogger("httpx").setLevel(logging.WARNING)  # the tests' own client
PASSWORD = "correct horse battery staple"
# Nothing of a test run has to survive a power cut.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

LOCAL = Path(mkdtemp(prefix="backend-api-local-"))
"""Instead of the developer's own `.local`."""
atexit.register(rmtree, LOCAL, ignore_errors=True)
REDIS_TIMEOUT, HASHES = redis.TIMEOUT, hashing._CONTEXT


@pytest.fixture(scope="session", autouse=True)
def at_ease() -> Iterator[None]:
    """What suits a process of many applications, on a machine that stands still at times."""
    with pytest.MonkeyPatch.context() as patch:
        # Such a moment is no outage of Redis.
        patch.setattr(redis, "TIMEOUT", 5.0)
        # Gauges are the process's, and whichever application looks last sets them.
        patch.setattr(periodic, "GAUGES_INTERVAL", 3600.0)
        # Statements that a test counts are its own: it writes refusals when it asks for them.
        patch.setattr(periodic, "REFUSALS_INTERVAL", 3600.0)
        # Keys in Redis that a test counts are its own: it writes records of requests, and the
        # traffic of 24 hours, when it asks for them.
        patch.setattr(periodic, "REQUESTS_INTERVAL", 3600.0)
        patch.setattr(periodic, "SNAPSHOT_INTERVAL", 3600.0)
        cheap = {"argon2__memory_cost": 64, "argon2__time_cost": 1}
        patch.setattr(hashing, "_CONTEXT", HASHES.copy(**cheap))
        yield


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis has as long for an answer as in production, in applications that start from now on."""
    monkeypatch.setattr(redis, "TIMEOUT", REDIS_TIMEOUT)


@pytest.fixture
def costly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as in production."""
    monkeypatch.setattr(hashing, "_CONTEXT", HASHES)


@dataclass(frozen=True)
class Servers:
    """Addresses of servers that live as long as the run.

    Attributes:
        postgres: with `--pgbouncer`, the pooler's.
        direct: PostgreSQL's own.
    """

    postgres: str
    redis: str
    direct: str


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pgbouncer", action="store_true", help="put a PgBouncer before PostgreSQL")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has no meaning here: only root has to become somebody else, and a pooler hides
    the server's connections, needs to be told of each database, and is not met by every test."""
    is_root = os.geteuid() == 0
    unfit = {"as_root": not is_root, "with_namespaces": not accounts()[0].can_reach(Path("/"))}
    unfit["direct"] = pooled = config.getoption("pgbouncer")

    def has_no_meaning(item: pytest.Item) -> bool:
        is_marked = any(no and item.get_closest_marker(mark) for mark, no in unfit.items())
        return is_marked or (pooled and "servers" not in getattr(item, "fixturenames", ()))

    left_out = [item for item in items if has_no_meaning(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    # Not in pytest's own folder, which is closed to others: root may have to run PostgreSQL as one.
    with TemporaryDirectory(prefix="backend-api-") as folder, ExitStack() as stack:
        place = Path(folder)
        place.chmod(0o755)
        postgres = stack.enter_context(
            own_postgres(url)
            if (url := OWN_POSTGRES)
            else EmbeddedPostgres(place / "postgres", FAST)
        )
        redis = (
            own_redis(url)
            if (url := OWN_REDIS)
            else stack.enter_context(EmbeddedValkey(place / "valkey"))
        )
        through = postgres
        if request.config.getoption("pgbouncer"):
            through = stack.enter_context(pgbouncer(postgres, place))
            # Told to every process that the tests start, too.
            os.environ |= {"DATABASE_POOLER": "transaction", "DATABASE_MIGRATION_URL": postgres}
        yield Servers(through, redis, postgres)


@pytest.fixture(scope="session")
def settings(servers: Servers) -> Settings:
    """Those of a test process on the run's servers."""
    return load_settings().replaced(
        database={"url": SecretStr(servers.postgres)},
        cache={"redis_url": SecretStr(servers.redis)},
        limiter={"redis_url": SecretStr(servers.redis)},
        auth={"secret_key": SecretStr("a secret that is only used in the tests")},
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[FastAPI]:
    """An application from its start to its end."""
    app = create_app(settings, LOCAL)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """One application for all tests that need nothing special of it."""
    engine = get_engine(settings.database.direct())
    await migrate(engine)
    await engine.dispose()
    async with running(settings) as app:
        yield app


@pytest.fixture
def runtime(app: FastAPI) -> Runtime:
    runtime: Runtime = app.state.runtime
    return runtime


@pytest.fixture
def statements(runtime: Runtime) -> Iterator[list[str]]:
    """The SQL that the application has sent since the test began."""
    with recorded(runtime) as sent:
        yield sent


@contextmanager
def recorded(runtime: Runtime) -> Iterator[list[str]]:
    """The SQL that an application sends within the block."""
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    engine = runtime.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def browsing(app: FastAPI, address: str = "192.0.2.7", **options: Any) -> httpx.AsyncClient:
    """A client of `app`; an unhandled error reaches it as a response, as it would a real one."""
    transport = NotingTransport(app, raise_app_exceptions=False, client=(address, 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://test", **options)


async def empty_audit_trail(connection: AsyncConnection) -> None:
    """As nobody can in production: an ordinary role may not set this."""
    await connection.execute(text("SET LOCAL session_replication_role = replica"))
    await connection.execute(text("DELETE FROM audit_events"))
    await connection.execute(text("SET LOCAL session_replication_role = origin"))


async def empty_database(connection: AsyncConnection) -> None:
    """Leave no row in any table, and let ids begin at one again.

    A few rows are deleted ten times faster than tables are truncated: each truncation makes new
    files. What many rows would leave behind slows later tests down, and is truncated.
    """
    tables = sorted({*Base.metadata.tables, "pgqueuer_statistics"})
    deletions = "; ".join(f"DELETE FROM {table}" for table in tables)
    truncated = ", ".join(table for table in tables if table != "audit_events")
    await connection.execute(text("SET LOCAL session_replication_role = replica"))
    await connection.execute(
        text(f"""
            DO $$ BEGIN
                IF pg_relation_size('users') > 1000000 THEN
                    TRUNCATE {truncated} CASCADE;
                END IF;
                {deletions};
                PERFORM setval(seqrelid::regclass, seqstart, false) FROM pg_sequence;
            END $$
        """)
    )
    await connection.execute(text("SET LOCAL session_replication_role = origin"))


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody in particular, with an empty database."""
    runtime: Runtime = app.state.runtime
    SEEN.clear()
    async with runtime.engine.begin() as connection:
        await empty_database(connection)
    assert runtime.cache is not None
    await runtime.cache.redis.flushdb()
    runtime.user_lists.search._expires = 0
    async with browsing(app) as client:
        yield client
    assert await secrets_in_the_audit_trail(runtime.engine) == []


@dataclass
class Person:
    """Somebody with an account, and the client they use it with."""

    client: httpx.AsyncClient
    id: int
    email: str
    password: str = PASSWORD
    tokens: dict[str, Any] = field(default_factory=dict)

    async def login(self) -> dict[str, Any]:
        """Begin a session, and use it from now on."""
        credentials = {"email": self.email, "password": self.password}
        response = await self.client.post("/api/v1/auth/login", json=credentials)
        assert response.status_code == 200, response.text
        self.tokens = response.json()
        return self.tokens

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        headers |= options.pop("headers", {})
        return await self.client.request(method, f"/api/v1{path}", headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("POST", path, **options)

    async def patch(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("DELETE", path, **options)


async def person(client: httpx.AsyncClient, runtime: Runtime, name: str, **fields: Any) -> Person:
    """Create an account, past the rules of signing up, and log in."""
    email = f"{name}@example.com"
    user_in = UserCreate(email=email, password=SecretStr(PASSWORD), username=name, **fields)
    async with runtime.session_maker() as db:
        users = runtime.user_service(db)
        user = await users.create_user(user_in)
    somebody = Person(client, user.id, email)
    await somebody.login()
    return somebody


@pytest.fixture
async def ada(client: httpx.AsyncClient, runtime: Runtime) -> Person:
    """A plain user."""
    return await person(client, runtime, "ada")


@pytest.fixture
async def bob(client: httpx.AsyncClient, runtime: Runtime) -> Person:
    """Another plain user."""
    return await person(client, runtime, "bob")


@pytest.fixture
async def root(client: httpx.AsyncClient, runtime: Runtime) -> Person:
    """A superuser."""
    return await person(client, runtime, "root", is_superuser=True)


@pytest.fixture
def logged(settings: Settings) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What has been logged during the test, as production writes it."""
    with redirect_stdout(StringIO()) as stream:
        configure_logging(settings.replaced(log={"format": "json"}))
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    configure_logging(settings)


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parents[1]

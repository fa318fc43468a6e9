"""A PostgreSQL that may be stopped, an application on it, and a table of what was seen."""

import asyncio
import faulthandler
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import httpx
import pytest
import uvloop
from fastapi import FastAPI
from pydantic import SecretStr
from redis.asyncio import Redis

from app.core.config import Settings
from app.embedded.files import free_port
from app.embedded.postgres import EmbeddedPostgres
from app.runtime import Runtime
from tests.conftest import FAST, Person, Servers, browsing, person, running
from tests.polling import within_async
from tests.tcp_proxy import TcpProxy, proxied

DEADLINE = 2.0
"""Seconds: `SERVER_REQUEST_TIMEOUT` of the sites, so that a test need not take half a minute."""
LATE = 1.5
"""Seconds that a busy machine may take on top of a limit. Whoever waits twice is found out all the
same: the limits are two seconds. How close to them it is on a quiet one, the table tells."""
CLOSING = 120.0
"""Seconds that the session's servers may take to end."""

Record = Callable[[str, str, str], None]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run on uvloop, as production does: it reports a lost connection by other exceptions."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """End the run, with a trace, where what tests left open is not closed after the last one: no
    timeout of pytest's ends a wait inside of uvloop."""
    if nextitem is not None:
        yield
        return
    with item.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        faulthandler.dump_traceback_later(CLOSING, exit=True)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def costly(costly: None) -> None:
    """In every test of faults: a login under load has to be a load."""


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Keep a row, the fault and what was seen, for the table at the end of the run."""
    properties: list[tuple[str, object]] = request.node.user_properties
    return lambda *row: properties.append(("seen", row))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table that docs/OPERATIONS.md has, from this very run."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    seen: list[tuple[str, str, str]] = [
        value
        for report in reports
        if report.when == "call"
        for name, value in report.user_properties
        if name == "seen"
    ]
    if seen:
        terminalreporter.section("faults: what was seen")
        terminalreporter.line("| # | fault | seen |\n|---|---|---|")
        for row in sorted(seen, key=lambda row: (int(row[0][1:]), row[1])):
            terminalreporter.line(f"| {' | '.join(row)} |")


class Postgres:
    """A server of its own, always on the same port, that may be stopped or crashed."""

    def __init__(self, directory: Path) -> None:
        # What was committed has to survive a crash of the server, though not of the machine.
        options = {**FAST, "synchronous_commit": "on", "port": str(free_port())}
        self._server = EmbeddedPostgres(directory, options)
        self.url = self._server.start()

    async def stop(self, how: signal.Signals) -> None:
        """SIGINT ends it in order, SIGQUIT as a crash would."""
        process = self._server._process()
        assert process is not None
        process.send_signal(how)
        assert await within_async(10, self._is_gone)

    async def start(self) -> float:
        """Have it back; the moment, by the monotonic clock, when it let the first one in."""
        starting = asyncio.create_task(asyncio.to_thread(self._server.start))
        assert await within_async(30, self._is_ready)
        returned = time.monotonic()
        await starting
        return returned

    def _is_gone(self) -> bool:
        return not self._server._is_alive()

    def _is_ready(self) -> bool:
        return self._server._port() is not None

    def leave(self) -> None:
        self._server.stop()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection past the proxy and the pool."""
        connection = await asyncpg.connect(self.url)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def users_locked(self) -> AsyncIterator[None]:
        """Have every query on users wait, as behind a careless migration."""
        async with self.connected() as connection, connection.transaction():
            await connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            yield

    async def busy_backends(self) -> int:
        """How many of the application's backends run a statement or sit in a transaction."""
        async with self.connected() as connection:
            count: int = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name = 'backend-api' AND state <> 'idle'"
            )
        return count


@dataclass
class Site:
    """An application on that server, the way to it, and what its visitors met."""

    app: FastAPI
    postgres: Postgres
    proxy: TcpProxy
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0

    @property
    def runtime(self) -> Runtime:
        runtime: Runtime = self.app.state.runtime
        return runtime

    @property
    def connections(self) -> int:
        """As many as the pool may hold."""
        database = self.runtime.settings.database
        return database.pool_size + database.max_overflow

    @property
    def pool_timeout(self) -> float:
        return self.runtime.settings.database.pool_timeout

    async def ask(self, somebody: Person, method: str, path: str, **options: Any) -> httpx.Response:
        """One request, counted and timed."""
        began = time.monotonic()
        response = await somebody.request(method, path, **options)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.statuses[response.status_code] += 1
        return response

    def seen(self) -> str:
        """What was met since the last `forget`, for the record."""
        counts = ", ".join(f"{n} × {status}" for status, n in sorted(self.statuses.items()))
        return f"{counts}, the slowest after {self.slowest:.2f} s"

    def forget(self) -> None:
        self.statuses, self.slowest = Counter(), 0.0

    async def is_clean(self) -> bool:
        """Whether nobody holds a connection and no backend is at work."""
        pool: Any = self.runtime.engine.pool
        return pool.checkedout() == 0 and await self.postgres.busy_backends() == 0

    async def is_full(self) -> bool:
        """Whether each of its connections is at work."""
        return await self.postgres.busy_backends() == self.connections

    async def becomes_clean(self, seconds: float) -> bool:
        return await within_async(seconds, self.is_clean)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with TemporaryDirectory(prefix="backend-api-") as folder:
        Path(folder).chmod(0o755)
        postgres = Postgres(Path(folder) / "postgres")
        yield postgres
        postgres.leave()


Opens = Callable[..., Any]


@pytest.fixture
async def opening(postgres: Postgres, settings: Settings, servers: Servers) -> Opens:
    """Opens a site with settings of its own: `async with opening(server={…}) as site`."""

    @asynccontextmanager
    async def opening(**sections: dict[str, Any]) -> AsyncIterator[Site]:
        async with Redis.from_url(servers.redis) as redis:
            await redis.flushall()
        async with proxied(postgres.url) as proxy:
            own = {"database": {"url": SecretStr(proxy.url), **sections.pop("database", {})}}
            async with running(settings.replaced(**own, **sections)) as app:
                async with postgres.connected() as connection:
                    await connection.execute("TRUNCATE users, sessions RESTART IDENTITY CASCADE")
                yield Site(app, postgres, proxy)

    return opening


@pytest.fixture
async def site(opening: Opens) -> AsyncIterator[Site]:
    """With a deadline of two seconds."""
    async with opening(server={"request_timeout": DEADLINE}) as site:
        yield site


@pytest.fixture
async def visitor(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(site.app) as visitor:
        yield visitor


@pytest.fixture
async def admin(site: Site, visitor: httpx.AsyncClient) -> Person:
    """A superuser of the site, whose list of users no cache answers."""
    return await person(visitor, site.runtime, "admin", is_superuser=True)

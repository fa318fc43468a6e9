"""R14: a replica that lags, stops, returns, is frozen or promoted, and callers who read what they
have just written."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import text

from app.cli.doctor import _replicas
from app.core.config import Settings
from app.core.telemetry.metrics import REPLICA_FALLBACKS, REPLICA_READS
from app.database.migrations import migrate
from app.database.replicas import replicas as watching
from app.database.replicas.replica import NO_STANDBY, Replica
from app.embedded.files import free_port
from app.embedded.postgres import EmbeddedPostgres
from tests.conftest import FAST, Person, browsing, person, recorded, running
from tests.databases import engine_of
from tests.faults.conftest import LATE
from tests.polling import within_async
from tests.standby import standby_of
from tests.tcp_proxy import TcpProxy, proxied
from tests.workers import Scrape

MAX_LAG = 30.0
"""Seconds; a busy machine may take some for a test."""
SHORT_LAG = 0.2
TIMEOUT = 0.5
EVERYBODY = {"admin", "ada", "eve"}
"""The first superuser, and those of the site."""


@dataclass
class Pair:
    """A primary and its standby, which the service reaches through a proxy each.

    Attributes:
        way: to the primary.
        proxy: to the standby.
    """

    primary: str
    server: EmbeddedPostgres
    standby: str
    way: TcpProxy
    proxy: TcpProxy

    async def run(self, url: str, statement: str) -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """The standby replays nothing within the block."""
        await self.run(self.standby, "SELECT pg_wal_replay_pause()")

        async def is_paused() -> bool:
            return await self.run(self.standby, "SELECT pg_get_wal_replay_pause_state()") == (
                "paused"
            )

        # It pauses at the next record.
        await self.run(self.primary, "SELECT pg_logical_emit_message(false, 'test', '')")
        assert await within_async(10, is_paused)
        yield
        await self.run(self.standby, "SELECT pg_wal_replay_resume()")


@pytest.fixture(scope="module")
def servers_of_pair(settings: Settings) -> Iterator[tuple[str, EmbeddedPostgres, str]]:
    """URL of a migrated primary, its standby, and the URL of that."""

    async def prepare(url: str) -> None:
        own = settings.replaced(database={"url": SecretStr(url)})
        async with engine_of(own.database) as engine:
            await migrate(engine)

    with TemporaryDirectory(prefix="backend-api-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        primary = EmbeddedPostgres(place / "first", {**FAST, "port": str(free_port())})
        with primary as url:
            with asyncio.Runner() as runner:
                runner.run(prepare(url))
            server = standby_of(primary, url, place / "second")
            yield url, server, server.start()
            server.stop()
            shutil.rmtree(server.directory)


@pytest.fixture
async def pair(
    servers_of_pair: tuple[str, EmbeddedPostgres, str], settings: Settings
) -> AsyncIterator[Pair]:
    """With empty tables, and nothing in Redis."""
    primary, server, standby = servers_of_pair
    own = settings.replaced(database={"url": SecretStr(primary)})
    async with engine_of(own.database) as engine, engine.begin() as connection:
        await connection.execute(text("TRUNCATE users CASCADE"))
    assert settings.cache.redis_url is not None
    async with Redis.from_url(settings.cache.redis_url.get_secret_value()) as redis:
        await redis.flushall()
    async with proxied(primary) as way, proxied(standby) as proxy:
        yield Pair(primary, server, standby, way, proxy)


@dataclass
class Site:
    """An application that reads the replica, and two superusers."""

    app: FastAPI
    ada: Person
    eve: Person

    @property
    def replica(self) -> Replica:
        [replica] = self.app.state.runtime.replicas.all
        found: Replica = replica
        return found

    def is_read(self) -> bool:
        return self.replica.problem is None

    def reads(self) -> float:
        return float(REPLICA_READS.labels(self.replica.name)._value.get())

    def fallbacks(self) -> float:
        return float(REPLICA_FALLBACKS.labels(self.replica.name)._value.get())

    async def settled(self) -> bool:
        """Whether the replica is read, and has all that was written."""
        replicas = self.app.state.runtime.replicas
        return self.is_read() and await self.replica.has(await replicas.marks.of_everyone())


@pytest.fixture
async def site(pair: Pair, settings: Settings, monkeypatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(watching, "WATCH_INTERVAL", 0.05)
    async with reading(pair, settings) as app, browsing(app) as visitor:
        runtime = app.state.runtime
        ada = await person(visitor, runtime, "ada", is_superuser=True)
        eve = await person(visitor, runtime, "eve", is_superuser=True)
        site = Site(app, ada, eve)
        assert await within_async(10, site.settled)
        yield site


@asynccontextmanager
async def reading(pair: Pair, settings: Settings) -> AsyncIterator[FastAPI]:
    database = {
        "url": SecretStr(pair.way.url),
        "replica_urls": (SecretStr(pair.proxy.url),),
        "replica_max_lag": MAX_LAG,
        "replica_timeout": TIMEOUT,
    }
    async with running(settings.replaced(database=database)) as app:
        yield app


async def listed(somebody: Person) -> set[str]:
    response = await somebody.get("/users", params={"size": 100})
    assert response.status_code == 200, response.text
    return {user["username"] for user in response.json()["items"]}


async def exported(somebody: Person) -> set[str]:
    response = await somebody.get("/users/export", params={"format": "ndjson"})
    assert response.status_code == 200, response.text
    return {json.loads(line)["username"] for line in response.text.splitlines()}


async def counted(somebody: Person) -> int:
    response = await somebody.get("/dashboard/stats", headers={"Cache-Control": "no-cache"})
    assert response.status_code == 200, response.text
    total: int = response.json()["total_users"]
    return total


async def create(somebody: Person, name: str) -> None:
    user = {"email": f"{name}@example.com", "username": name, "password": "a long enough password"}
    response = await somebody.post("/users", json=user)
    assert response.status_code == 201, response.text


@pytest.mark.parametrize(
    ("path", "contains"),
    [
        ("/users", "ada@example.com"),
        ("/users/cursor", "ada@example.com"),
        ("/users/export", "ada@example.com"),
        ("/dashboard/stats", '"total_users":3'),
        ("/audit", "user.created"),
        ("/audit/export", "user.created"),
    ],
)
async def test_lists_exports_statistics_and_audit_are_read_from_the_replica(site, path, contains):
    await site.ada.get("/users/me")  # caches the principal
    assert await within_async(5, site.settled)
    before = site.reads()
    with recorded(site.app.state.runtime) as on_primary:
        response = await site.ada.get(path)

    assert contains in response.text
    assert site.reads() > before
    assert not any("SELECT" in statement[:6] for statement in on_primary if "lsn" not in statement)


async def test_a_commit_costs_one_statement_more(site):
    await site.ada.get("/users/me")
    with recorded(site.app.state.runtime) as on_primary:
        response = await site.ada.patch("/users/me", json={"full_name": "Ada"})

    assert response.status_code == 200
    positions = [statement for statement in on_primary if "pg_current_wal" in statement]
    assert positions == on_primary[-1:]


async def test_a_caller_reads_what_they_wrote_while_others_read_a_replica_that_lags(
    pair, site, settings, record
):
    async with AsyncExitStack() as stack:
        other_process = await stack.enter_async_context(reading(pair, settings))
        assert await within_async(5, Site(other_process, site.ada, site.eve).settled)
        await stack.enter_async_context(pair.paused())
        await create(site.ada, "new")
        own = await listed(site.ada), await exported(site.ada), await counted(site.ada)
        theirs = await listed(site.eve)
        async with browsing(other_process) as visitor:
            there = Person(visitor, site.ada.id, site.ada.email, tokens=site.ada.tokens)
            elsewhere = await listed(there)

        site.replica._max_lag = SHORT_LAG
        assert await within_async(SHORT_LAG + LATE, lambda: not site.is_read())
        later = await listed(site.eve)
        state = (await site.ada.get("/metrics/replicas")).json()["items"]
        findings = [finding async for finding in _replicas(site.app.state.runtime)]
    resumed = time.monotonic()

    assert own == ({*EVERYBODY, "new"}, {*EVERYBODY, "new"}, 4)
    assert theirs == EVERYBODY  # the replica's, and so it is read
    assert elsewhere == {*EVERYBODY, "new"}
    assert later == {*EVERYBODY, "new"}
    assert state[0]["problem"] == f"lags more than {SHORT_LAG:g} s"
    assert state[0]["lag"] > SHORT_LAG
    assert "pg_stat_replication" in findings[0].advice
    assert await within_async(5, site.settled)
    back = time.monotonic() - resumed
    before = site.reads()
    assert await listed(site.ada) == {*EVERYBODY, "new"}
    assert site.reads() > before
    record("R14", "a replica lags", f"own writes are read, read again after {back:.2f} s")


async def test_a_replica_that_stops_and_returns_fails_no_read(pair, site, record):
    pair.proxy.close()
    await asyncio.to_thread(pair.server.stop)
    seen = [await listed(site.eve), await exported(site.eve), {str(await counted(site.eve))}]
    is_left_out = not site.is_read()
    await asyncio.to_thread(pair.server.start)
    await pair.proxy.open()
    began = time.monotonic()

    assert seen == [EVERYBODY, EVERYBODY, {"3"}]
    assert is_left_out
    assert await within_async(5, site.settled)
    record("R14", "a replica stops, returns", f"read again after {time.monotonic() - began:.2f} s")


async def test_a_frozen_replica_holds_a_read_up_for_its_timeout_only(pair, site, record):
    pair.proxy.freeze()
    before, began = site.fallbacks(), time.monotonic()
    seen = await listed(site.eve), await exported(site.eve)
    took = time.monotonic() - began
    pair.proxy.thaw()

    assert seen == (EVERYBODY, EVERYBODY)
    assert took < 2 * TIMEOUT + LATE
    assert site.fallbacks() > before
    assert await within_async(5, site.settled)
    record("R14", "a replica is frozen", f"a list and an export in {took:.2f} s")


async def test_lists_are_read_while_the_primary_is_away(pair, site, record):
    await site.eve.get("/users/me")  # caches the principal
    pair.way.close()
    seen = await listed(site.eve), await counted(site.eve)
    write = await site.eve.patch("/users/me", json={"full_name": "Eve"})

    assert seen == (EVERYBODY, 3)
    assert write.status_code == 503
    record("R14", "the primary is away", "lists and statistics are read from the replica")


async def test_without_redis_the_primary_is_read(site):
    before = site.reads()
    breaker = site.app.state.runtime.cache
    breaker.open("test")
    seen = await listed(site.eve)

    assert seen == EVERYBODY
    assert site.reads() == before


async def test_the_overview_the_metrics_and_prometheus_show_the_replica(site):
    runtime, browser = site.app.state.runtime, site.ada.client
    session_id = runtime.tokens.read(site.ada.tokens["access_token"]).session_id
    cookie = runtime.tokens.sign(site.ada.id, session_id, "page")
    page = await browser.get(
        "https://test/api/v1/dashboard", headers={"Cookie": f"__Host-backend_session={cookie}"}
    )
    runtime.metrics.gauges.update()
    figures = (await site.ada.get("/metrics/prometheus")).text
    items = (await site.ada.get("/metrics/replicas")).json()["items"]

    assert f"<small>{site.replica.name}</small>" in page.text
    assert [(item["name"], item["problem"]) for item in items] == [(site.replica.name, None)]
    assert 0 <= items[0]["lag"] < MAX_LAG
    assert f'database_replica_in_use{{replica="{site.replica.name}"}} 1.0' in figures
    [lag] = Scrape(figures).values("database_replica_lag_seconds", replica=site.replica.name)
    assert 0 <= lag < MAX_LAG


async def test_a_replica_that_is_promoted_is_read_no_more(pair, site):
    """The last test of this server."""
    assert await pair.run(pair.standby, "SELECT pg_promote()")

    assert await within_async(5, lambda: site.replica.problem == NO_STANDBY)
    await create(site.ada, "new")
    assert await listed(site.eve) == {*EVERYBODY, "new"}
    findings = [finding async for finding in _replicas(site.app.state.runtime)]
    assert "DATABASE_REPLICA_URLS" in findings[0].advice

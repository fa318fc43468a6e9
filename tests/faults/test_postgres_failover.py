"""R13: a primary that fails over to its standby and stays up, read-only; or turns read-only and
back."""

import json
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from app.cli.doctor import _servers
from app.core.config import Settings
from app.database.migrations import migrate
from app.database.servers.hosts import HEAD_START, PREFERENCE
from app.embedded.files import free_port
from app.embedded.postgres import EmbeddedPostgres
from tests.conftest import FAST, Person, browsing, person, running
from tests.databases import engine_of
from tests.faults.conftest import LATE
from tests.polling import within_async
from tests.standby import standby_of
from tests.tcp_proxy import proxied, target

OFF = {"enabled": False}
SERVED_AFTER = 5.0
"""Seconds, the target of R13."""
OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'backend-api'"
INSERT = (
    "INSERT INTO users (email, username, hashed_password, is_superuser)"
    " VALUES ($1 || '@example.com', $1, '', $1 = 'admin')"
)


@dataclass
class Pair:
    """A primary and its standby, by their URLs."""

    first: str
    second: str

    async def run(self, url: str, *statements: str) -> object:
        """Run statements on one of them, as its administrator; what the last one gives."""
        connection = await asyncpg.connect(url)
        try:
            result: object = None
            for statement in statements:
                result = await connection.fetchval(statement)
            return result
        finally:
            await connection.close()

    async def set_read_only(self, url: str, *, is_on: bool) -> None:
        change = f"ALTER SYSTEM SET default_transaction_read_only = {'on' if is_on else 'off'}"
        await self.run(url, change, "SELECT pg_reload_conf()")

        async def is_reloaded() -> bool:
            shown = await self.run(url, "SHOW default_transaction_read_only")
            return shown == ("on" if is_on else "off")

        assert await within_async(10, is_reloaded)

    async def retire_first(self) -> None:
        """Leave the first up, read-only, and wait until the second has all of its rows."""
        await self.set_read_only(self.first, is_on=True)

        async def has_all() -> bool:
            both = "(SELECT count(*) FROM users), (SELECT count(*) FROM sessions)"
            rows = f"SELECT row({both})::text"  # no values
            return bool(await self.run(self.first, rows) == await self.run(self.second, rows))

        assert await within_async(10, has_all)  # what is not copied yet would be lost

    async def fail_over(self) -> float:
        """Retire the first and promote the second; the moment of the promotion."""
        await self.retire_first()
        assert await self.run(self.second, "SELECT pg_promote()")
        return time.monotonic()


async def add_user(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(INSERT, name)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def primary() -> Iterator[tuple[EmbeddedPostgres, str]]:
    """A server and its URL."""
    with TemporaryDirectory(prefix="backend-api-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        primary = EmbeddedPostgres(place / "first", {**FAST, "port": str(free_port())})
        with primary as url:
            yield primary, url


@pytest.fixture
async def pair(primary: tuple[EmbeddedPostgres, str], settings: Settings) -> AsyncIterator[Pair]:
    """Migrated, and with a superuser; the primary takes writes."""
    server, first = primary
    own = settings.replaced(database={"url": SecretStr(first)})
    async with engine_of(own.database) as engine:
        await migrate(engine)
        async with engine.begin() as connection:
            await connection.execute(text("TRUNCATE users CASCADE"))
    await add_user(first, "admin")
    standby = server.directory.with_name("second")
    with standby_of(server, first, standby) as second:
        pair = Pair(first, second)
        yield pair
        await pair.set_read_only(first, is_on=False)
    shutil.rmtree(standby)


@asynccontextmanager
async def site_on(settings: Settings, url: str) -> AsyncIterator[tuple[FastAPI, Person]]:
    """An application with each of its engines connected, and a superuser whose session no other
    test has."""
    own = settings.replaced(database={"url": SecretStr(url)}, cache=OFF, limiter=OFF)
    async with running(own) as app, browsing(app) as visitor:
        admin = await person(visitor, app.state.runtime, "root", is_superuser=True)
        await fill_pool(app)
        assert (await exported(admin))[0] == 200
        assert (await visitor.get("/health")).status_code == 200
        yield app, admin


async def fill_pool(app: FastAPI) -> None:
    runtime = app.state.runtime
    connections = [await runtime.engine.connect() for _ in range(5)]
    for connection in connections:
        await connection.execute(text("SELECT 1"))
        await connection.close()


async def exported(admin: Person) -> tuple[int, set[str]]:
    """Status, and the usernames in the file."""
    response = await admin.get("/users/export", params={"format": "ndjson"})
    if response.status_code != 200:
        return response.status_code, set()
    return 200, {json.loads(line)["username"] for line in response.text.splitlines()}


async def change(admin: Person) -> int:
    return (await admin.patch("/users/me", json={"full_name": "Ada"})).status_code


def several(pair: Pair, *urls: str) -> str:
    """Both in one URL, or those of `urls`."""
    credentials, _, place = pair.first.rpartition("@")
    hosts = ",".join("{}:{}".format(*target(url)) for url in urls or (pair.first, pair.second))
    name = place.partition("/")[2]
    return f"{credentials}@{hosts}/{name}?target_session_attrs=read-write"


async def no_connection_is_left(pair: Pair) -> bool:
    """Whether the first server has none of ours any more."""

    async def is_left() -> bool:
        return await pair.run(pair.first, OURS) == 0

    return await within_async(SERVED_AFTER + LATE, is_left)


async def is_served_within_time(admin: Person, promoted: float) -> bool:
    async def is_served() -> bool:
        return await change(admin) == 200

    return await within_async(promoted + SERVED_AFTER + LATE - time.monotonic(), is_served)


async def health(admin: Person, path: str) -> tuple[int, str | None]:
    response: httpx.Response = await admin.client.get(path)
    return response.status_code, response.json()["checks"]["database"].get("error")


async def test_f8_writes_are_served_again_and_no_connection_to_the_old_primary_stays(
    pair, settings, record
):
    async with site_on(settings, several(pair)) as (_, admin):
        promoted = await pair.fail_over()

        assert await is_served_within_time(admin, promoted)
        served = time.monotonic() - promoted
        assert await no_connection_is_left(pair)
        assert await health(admin, "/health/ready") == (200, None)
        await add_user(pair.second, "new")
        assert await exported(admin) == (200, {"admin", "root", "new"})
    record("R13", "several hosts, the old primary up, read-only", f"served after {served:.2f} s")


async def test_f8_an_export_that_comes_first_after_a_failover_has_the_new_rows(pair, settings):
    async with site_on(settings, several(pair)) as (_, admin):
        await pair.fail_over()
        await add_user(pair.second, "new")

        assert await exported(admin) == (200, {"admin", "root", "new"})
        assert await no_connection_is_left(pair)


async def test_f8_reads_alone_find_out_that_the_server_is_read_only(pair, settings):
    async with site_on(settings, several(pair)) as (_, admin):
        await pair.fail_over()
        await admin.get("/users")

        assert await no_connection_is_left(pair)
        assert await health(admin, "/health") == (200, None)


async def test_f8_one_address_that_moves(pair, settings, record):
    """Connections to the old primary live on, and new ones reach it until the address moves."""
    async with proxied(pair.first) as proxy, site_on(settings, proxy.url) as (_, admin):
        await pair.retire_first()
        ended = [await change(admin) for _ in range(5)]
        reads = (await admin.get("/users")).status_code
        refused = await exported(admin)
        unhealthy = await health(admin, "/health/ready")
        await pair.run(pair.second, "SELECT pg_promote()")
        promoted = time.monotonic()
        proxy.target = target(pair.second)

        assert await is_served_within_time(admin, promoted)
        served = time.monotonic() - promoted
        assert await no_connection_is_left(pair)
        await add_user(pair.second, "new")
        assert await exported(admin) == (200, {"admin", "root", "new"})
        assert await health(admin, "/health/ready") == (200, None)
    assert set(ended) == {503}
    assert reads == 200
    assert refused[0] == 503
    assert unhealthy == (503, "read-only")
    record("R13", "one address that moves", f"served after {served:.2f} s")


async def test_f9_health_says_at_once_that_the_primary_is_read_only_and_is_well_again(
    pair, settings, record
):
    async with site_on(settings, pair.first) as (app, admin):
        await pair.set_read_only(pair.first, is_on=True)
        advice = [finding.advice async for finding in _servers(app.state.runtime)]
        away = [await health(admin, path) for path in ("/health", "/health/ready")]
        writes = await change(admin)
        await pair.set_read_only(pair.first, is_on=False)
        mended = time.monotonic()
        back = [await health(admin, path) for path in ("/health", "/health/ready")]

        assert await is_served_within_time(admin, mended)
        served = time.monotonic() - mended
    assert "default_transaction_read_only" in advice[0]
    assert away == [(503, "read-only")] * 2
    assert writes == 503
    assert back == [(200, None)] * 2
    record("R13", "the primary read-only, and back", f"served after {served:.2f} s")


async def test_f9_a_standby_is_unhealthy_until_it_is_promoted(pair, settings):
    own = settings.replaced(database={"url": SecretStr(pair.second)}, cache=OFF, limiter=OFF)
    async with running(own) as app, browsing(app) as visitor:
        before = await visitor.get("/health")
        await pair.run(pair.second, "SELECT pg_promote()")
        after = await visitor.get("/health")

    assert (before.status_code, after.status_code) == (503, 200)
    assert before.json()["checks"]["database"]["error"] == "read-only"


async def test_f11_of_several_hosts_one_that_takes_writes_is_preferred(pair, settings):
    """F11: without `target_session_attrs` the first that answers was used, though a standby."""
    hosts = several(pair, pair.second, pair.first).partition("?")[0]
    async with site_on(settings, hosts) as (_, admin):
        assert await change(admin) == 200


async def test_f11_where_the_primary_is_frozen_the_standby_is_read(pair, settings):
    async with (
        proxied(pair.first) as proxy,
        site_on(settings, several(pair, proxy.url, pair.second).partition("?")[0]) as (app, admin),
    ):
        await app.state.runtime.engine.dispose()
        proxy.freeze()
        began = time.monotonic()
        read = (await admin.get("/users")).status_code
        took = time.monotonic() - began
        proxy.thaw()

    assert read == 200
    assert took < HEAD_START + PREFERENCE + LATE

"""P7: a list of 100 users against its hashes, the database's part of 500, round trips, a file.

Usage: python benchmarks/bulk.py [--runs 5]

Starts servers of its own, prints a table, and exits with 1 where a median misses its bound.
"""

import asyncio
import json
import os
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from app.core.config import load_settings
from app.runtime import Runtime, open_servers
from app.schemas.bulk import BulkUserCreate
from app.services.user.file_parser import UserFile
from app.user_import.batches import import_users
from benchmarks.report import Figure
from main import create_app
from tests.tcp_proxy import TcpProxy

PASSWORD = "correct horse battery staple"  # noqa: S105  # of accounts that live a minute
EMAIL = "admin@example.com"
LIST, LARGE, SINGLE, FILE = 100, 500, 20, 5000
API = "/api/v1"


@dataclass
class Measured:
    """A value for each run.

    Attributes:
        hashes: milliseconds for one hash, alone.
        lists: milliseconds from sending a list of 100 passwords to its answer.
        databases: milliseconds from rows that are read, with hashes, to 500 users committed.
        listed: round trips for each user of such a list, to PostgreSQL and Redis together.
        single: the same for a user created alone.
        imported: users per second from a file, with hashes.
    """

    hashes: list[float] = field(default_factory=list)
    lists: list[float] = field(default_factory=list)
    databases: list[float] = field(default_factory=list)
    listed: list[float] = field(default_factory=list)
    single: list[float] = field(default_factory=list)
    imported: list[float] = field(default_factory=list)


class Counter:
    """Counts round trips to servers, by a proxy before each."""

    def __init__(self) -> None:
        self._proxies: list[TcpProxy] = []

    async def before(self, url: str) -> str:
        """`url`, by way of a proxy."""
        proxy = TcpProxy(url)
        await proxy.open()
        self._proxies.append(proxy)
        return proxy.url

    @property
    def count(self) -> int:
        return sum(proxy.round_trips for proxy in self._proxies)


async def _measure(runs: int, local: Path) -> Measured:
    """Every figure `runs` times, interleaved; a first time is left out."""
    measured = Measured()
    counter = Counter()
    own = load_settings().replaced(
        app={"first_superuser_email": EMAIL, "first_superuser_password": SecretStr(PASSWORD)},
        limiter={"write": "1000000/minute"},
        log={"level": "ERROR"},
    )
    with open_servers(own, local) as settings:
        redis = await counter.before(settings.cache.dsn() or "")
        database_url = settings.database.url
        assert database_url is not None  # noqa: S101  # the embedded server's; tells mypy
        postgres = await counter.before(database_url.get_secret_value())
        through = settings.replaced(
            database={"provider": "postgresql", "url": SecretStr(postgres)},
            cache={"redis_url": SecretStr(redis)},
            limiter={"redis_url": SecretStr(redis)},
        )
        direct, counted = create_app(settings, local), create_app(through, local)
        async with (
            direct.router.lifespan_context(direct),
            counted.router.lifespan_context(counted),
            visiting(direct) as client,
            visiting(counted) as counted_client,
        ):
            runtime: Runtime = direct.state.runtime
            for run in range(runs + 1):
                hashes = [await timed(runtime.passwords.hash(PASSWORD)) for _ in range(10)]
                taken = await timed(post(client, rows(LIST)))
                database = await insert(runtime)
                listed = await trips(counter, post(counted_client, rows(LIST))) / LIST
                single = await trips(counter, post_each(counted_client)) / SINGLE
                imported = FILE / await import_file(runtime, local / "users.ndjson")
                if run > 0:
                    measured.hashes.append(statistics.median(hashes))
                    measured.lists.append(taken)
                    measured.databases.append(database)
                    measured.listed.append(listed)
                    measured.single.append(single)
                    measured.imported.append(imported)
    return measured


@asynccontextmanager
async def visiting(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A superuser who is logged in."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
        account = {"email": EMAIL, "password": PASSWORD}
        tokens = (await client.post(f"{API}/auth/login", json=account)).json()
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        yield client


def rows(count: int, **secret: str) -> list[dict[str, str]]:
    """People whom nobody has met yet."""
    secret = secret or {"password": PASSWORD}
    return [{"email": f"{secrets.token_hex(8)}@example.com", **secret} for _ in range(count)]


async def post(client: httpx.AsyncClient, body: list[dict[str, str]]) -> None:
    answer = await client.post(f"{API}/users/bulk", json=body, timeout=60)
    assert answer.status_code == 201, answer.text  # noqa: S101  # else it measures nothing


async def post_each(client: httpx.AsyncClient) -> None:
    for body in rows(SINGLE):
        answer = await client.post(f"{API}/users", json=body)
        assert answer.status_code == 201, answer.text  # noqa: S101  # the same


async def insert(runtime: Runtime) -> float:
    """Milliseconds from 500 rows that are read, with hashes of their own, to their commit."""
    hashed = await runtime.passwords.hash(PASSWORD)
    read = [BulkUserCreate.model_validate(row) for row in rows(LARGE, hashed_password=hashed)]
    async with runtime.session_maker() as db:
        users = runtime.user_service(db)
        return await timed(users.create_users_bulk(read))


async def import_file(runtime: Runtime, file: Path) -> float:
    """Seconds from a file of hashes to the last commit."""
    hashed = await runtime.passwords.hash(PASSWORD)
    lines = (json.dumps(row) + "\n" for row in rows(FILE, hashed_password=hashed))
    await asyncio.to_thread(file.write_text, "".join(lines))
    errors = file.with_suffix(".errors.ndjson")
    return await timed(import_users(runtime, UserFile.on_disk(file), errors, lambda _: None))


async def timed(work: Awaitable[object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1000


async def trips(counter: Counter, work: Awaitable[object]) -> int:
    before = counter.count
    await work
    return counter.count - before


def measure(runs: int) -> Iterator[Figure]:
    with TemporaryDirectory(prefix="backend-api-") as folder:
        Path(folder).chmod(0o755)
        measured = asyncio.run(_measure(runs, Path(folder)))
    cores = os.cpu_count() or 1
    one_hash = statistics.median(measured.hashes)
    most = 1.25 * LIST * one_hash / cores + 100
    fewer = [alone - listed for alone, listed in zip(measured.single, measured.listed, strict=True)]
    note = f"1.25 × {LIST} hashes of {one_hash:.0f} ms ÷ {cores} cores + 100 ms"
    yield Figure("P7", f"list of {LIST} users", measured.lists, "ms", most=most, note=note)
    name = f"the database's part of {LARGE}"
    yield Figure("P7", name, measured.databases, "ms", most=150)
    yield Figure("P7", "round trips for a user alone", measured.single)
    yield Figure("P7", "round trips for a user in a list", measured.listed)
    yield Figure("P7", "fewer round trips for a user", fewer, least=5)

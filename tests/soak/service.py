"""The service of a soak, as production runs it, on servers of its own behind proxies."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import httpx
import psutil
from redis.asyncio import Redis

from app.embedded.files import free_port
from app.embedded.valkey import EmbeddedValkey
from tests.conftest import PASSWORD, Servers
from tests.faults.conftest import Postgres
from tests.polling import within_async
from tests.process import Instance, instance, workers
from tests.tcp_proxy import TcpProxy, proxied
from tests.workers import SCRAPE_TOKEN, Scrape

ADMIN = "admin@example.com"
WORKERS = 2
SETTINGS = {
    "ENVIRONMENT": "production",
    "SERVER_WORKERS": str(WORKERS),
    "SERVER_REQUEST_TIMEOUT": "5",
    "DATABASE_STATEMENT_TIMEOUT": "4",
    "AUTH_ACCESS_TTL": "86400",  # no token expires within a soak
    "TELEMETRY_SCRAPE_TOKEN": SCRAPE_TOKEN,
    "FIRST_SUPERUSER_EMAIL": ADMIN,
    "FIRST_SUPERUSER_PASSWORD": PASSWORD,
    **{
        f"LIMITER_{name}": "1000000/minute"
        for name in ("READ", "WRITE", "LOGIN", "LOGIN_ADDRESS", "SIGN_UP")
    },
    "LIMITER_REFRESH": "1000000/minute",
    "LIMITER_REFRESH_ADDRESS": "1000000/minute",
}


@dataclass(frozen=True)
class Backing:
    """The servers that the service stands on, and their addresses past the proxies."""

    place: Path
    postgres: Postgres
    valkey: EmbeddedValkey
    redis_url: str


@dataclass(frozen=True)
class Usage:
    """Of the worker that has most. `memory`: bytes; `files`: open descriptors."""

    memory: int
    files: int


@dataclass(frozen=True)
class Service:
    """A service that runs, and the ways to what it stands on."""

    backing: Backing
    instance: Instance
    postgres_proxy: TcpProxy
    redis_proxy: TcpProxy

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        """A connection past the proxy."""
        async with Redis.from_url(self.backing.redis_url) as redis:
            yield redis

    async def get(self, path: str) -> httpx.Response:
        """Ask by itself, with the token for figures; 599 where no answer comes."""
        headers = {"Authorization": f"Bearer {SCRAPE_TOKEN}"}
        try:
            async with httpx.AsyncClient(base_url=self.instance.url, timeout=5) as client:
                return await client.get(path, headers=headers)
        except httpx.TransportError:
            return httpx.Response(599)

    @property
    def logged(self) -> int:
        """Bytes of the log so far."""
        return self.instance.log.stat().st_size

    def log(self, since: int = 0) -> list[str]:
        """The lines that the service has logged after so many bytes."""
        with self.instance.log.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace").splitlines()

    async def is_well(self) -> bool:
        """Whether health is 200, each worker serves, and no breaker is open."""
        if (await self.get("/health")).status_code != 200:
            return False
        figures = await self.get("/api/v1/metrics/prometheus")
        if figures.status_code != 200:
            return False
        scrape = Scrape(figures.text)
        processes, open_breakers = map(scrape.value, ("worker_processes", "redis_breaker_open"))
        return processes == WORKERS == len(workers(self.instance)) and open_breakers == 0

    async def users(self) -> list[asyncpg.Record]:
        async with self.backing.postgres.connected() as connection:
            found: list[asyncpg.Record] = await connection.fetch(
                "SELECT id, email, full_name FROM users"
            )
        return found

    async def versions(self) -> str:
        async with self.backing.postgres.connected() as connection, self.redis() as redis:
            postgres = connection.get_server_version()
            valkey = (await redis.info("server"))["valkey_version"]
        return f"PostgreSQL {postgres.major}.{postgres.minor}, Valkey {valkey}"

    def usage(self) -> Usage:
        found = workers(self.instance)
        return Usage(
            max((worker.memory_info().rss for worker in found), default=0),
            max((worker.num_fds() for worker in found), default=0),
        )


@contextmanager
def backing() -> Iterator[Backing]:
    """PostgreSQL, whose commits survive a crash of the server, and Valkey; ended afterwards."""
    with TemporaryDirectory(prefix="backend-api-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        options = {"port": str(free_port()), "maxmemory-policy": "noeviction"}
        valkey = EmbeddedValkey(place / "valkey", options)
        with valkey as redis_url:
            postgres = Postgres(place / "postgres")
            try:
                yield Backing(place, postgres, valkey, redis_url)
            finally:
                postgres.leave()


@asynccontextmanager
async def service(backing: Backing) -> AsyncIterator[Service]:
    """`backend serve` on these servers, with a superuser; no process of it is left afterwards."""
    async with (
        proxied(backing.postgres.url) as postgres,
        proxied(backing.redis_url) as redis,
    ):
        servers = Servers(postgres.url, redis.url, backing.postgres.url)
        # In a thread, until it has ended: the way to its servers is through this event loop.
        context = _serving(servers, backing.place)
        starting = asyncio.ensure_future(asyncio.to_thread(context.__enter__))
        try:
            served = Service(backing, await asyncio.shield(starting), postgres, redis)
            assert await within_async(60, served.is_well)
            yield served
        finally:
            await asyncio.wait([starting])
            await asyncio.to_thread(context.__exit__, None, None, None)


@contextmanager
def _serving(servers: Servers, place: Path) -> Iterator[Instance]:
    redis = {"CACHE_REDIS_URL": servers.redis, "LIMITER_REDIS_URL": servers.redis}
    secret = {"AUTH_SECRET_KEY": "a secret that is only used in a soak"}
    settings = {**SETTINGS, **redis, **secret}
    subprocess.run(
        [sys.executable, "-m", "app.cli", "migrate"],
        env={**os.environ, **settings, "DATABASE_URL": servers.direct},
        check=True,
        capture_output=True,
    )
    processes: list[psutil.Process] = []
    try:
        with instance(servers, place, None, **settings) as started:
            try:
                yield started
            finally:
                with suppress(psutil.NoSuchProcess):
                    service = psutil.Process(started.process.pid)
                    processes += [*service.children(recursive=True), service]
    finally:
        for process in processes:  # each has ended by now, unless the stop has failed
            with suppress(psutil.NoSuchProcess):
                process.kill()

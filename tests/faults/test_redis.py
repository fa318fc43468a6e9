"""R6: Redis stopped, slow, black-holed and out of memory. It is an accelerator: all goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from redis.asyncio import Redis

from app.core.config import Settings
from app.database.embedded import EmbeddedValkey
from app.runtime import Runtime
from tests.conftest import PASSWORD, Person, browsing, person, running
from tests.faults.observing import loop_lag, within
from tests.gate import Gate, target

LOGIN = "/api/v1/auth/login"


@dataclass
class Site:
    """An application, the way to its Redis, and what its visitors met."""

    app: FastAPI
    gate: Gate
    redis: Redis
    statuses: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    visitors: int = 0

    @property
    def runtime(self) -> Runtime:
        runtime: Runtime = self.app.state.runtime
        return runtime

    def visitor(self) -> httpx.AsyncClient:
        """Somebody with an address of their own, so that limits hold nobody else up."""
        self.visitors += 1
        return browsing(self.app, f"198.51.{self.visitors // 250}.{self.visitors % 250}")

    async def timed(self, request: Awaitable[httpx.Response]) -> httpx.Response:
        began = time.perf_counter()
        response = await request
        self.times.append(time.perf_counter() - began)
        self.statuses.append(response.status_code)
        return response

    def percentiles(self) -> list[float]:
        """Seconds; of what was timed since the last call."""
        times, self.times = self.times, []
        return quantiles(times, n=100)


@pytest.fixture(scope="module")
def valkey() -> Iterator[str]:
    with TemporaryDirectory(prefix="backend-api-") as folder:
        server = EmbeddedValkey(Path(folder) / "valkey", {"maxmemory-policy": "noeviction"})
        with server as url:
            yield url


@pytest.fixture
async def site(
    app, client, settings: Settings, valkey: str, impatient: None
) -> AsyncIterator[Site]:
    host, port = target(valkey)
    gate = Gate(host, port)
    through = SecretStr(valkey.replace(f"{host}:{port}", f"127.0.0.1:{await gate.open()}"))
    redis = Redis.from_url(valkey)
    await redis.config_set("maxmemory", "128mb")
    await redis.flushall()
    cut = settings.replaced(cache={"redis_url": through}, limiter={"redis_url": through})
    async with running(cut) as faulty:
        yield Site(faulty, gate, redis)
    gate.shut()
    await redis.config_set("maxmemory", "128mb")
    await redis.aclose()


async def stopped(site: Site) -> None:
    site.gate.shut()


async def slow(site: Site) -> None:
    site.gate.latency = 0.3


async def black_holed(site: Site) -> None:
    site.gate.freeze()


async def out_of_memory(site: Site) -> None:
    await site.redis.config_set("maxmemory", "1")


async def mended(site: Site) -> None:
    await site.redis.config_set("maxmemory", "128mb")
    site.gate.latency = 0.0
    site.gate.thaw()
    if not site.gate.is_open:
        await site.gate.open()


FAULTS = [stopped, slow, black_holed, out_of_memory]
by_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)


async def traffic(site: Site, name: str) -> None:
    """Whatever people do: a few hundred requests, four at a time."""
    async with site.visitor() as visitor:
        root = await person(visitor, site.runtime, f"root-{name}", is_superuser=True)
        people = [await person(visitor, site.runtime, f"{name}-{n}") for n in range(4)]

    async def live(somebody: Person) -> None:
        async with site.visitor() as own:
            somebody.client = own
            for _ in range(40):
                await site.timed(somebody.get("/users/me"))
            await site.timed(root.get("/users"))
            credentials = {"email": somebody.email, "password": PASSWORD}
            tokens = (await site.timed(own.post(LOGIN, json=credentials))).json()
            refresh = {"refresh_token": tokens["refresh_token"]}
            await site.timed(own.post("/api/v1/auth/refresh", json=refresh))
            sign_up = {"email": f"new-{somebody.email}", "password": PASSWORD}
            await site.timed(own.post("/api/v1/users", json=sign_up))
            await site.timed(somebody.post("/auth/logout"))
            assert (await somebody.get("/users/me")).status_code == 401

    async with site.visitor() as admin:
        root.client = admin
        await asyncio.gather(*map(live, people))


@by_fault
async def test_all_goes_on_and_little_slower(site, fault, record):
    await traffic(site, "before")
    healthy = site.percentiles()

    await fault(site)
    async with loop_lag() as lags:
        await traffic(site, "during")

    assert max(site.statuses) < 400
    faulty = site.percentiles()
    # A tenth is the machine's, which may stand still. Without a breaker most would wait so long.
    assert faulty[89] - healthy[89] < 0.25
    assert quantiles(lags, n=100)[89] < 0.1
    name = fault.__name__.replace("_", " ")
    seen = (
        f"{len(site.statuses)} requests, no error; p99 {(faulty[98] - healthy[98]) * 1000:+.0f} ms"
    )
    record("R6", f"Redis {name}", seen)


@by_fault
async def test_logins_are_still_limited(site, fault):
    await fault(site)
    async with site.visitor() as visitor:
        credentials = {"email": "somebody@example.com", "password": "wrong"}
        answers = [await visitor.post(LOGIN, json=credentials) for _ in range(7)]

    assert [answer.status_code for answer in answers[:5]] == [401] * 5
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert answers[-1].headers["x-ratelimit-storage"] == "memory"


@pytest.mark.parametrize("fault", [stopped, slow, black_holed], ids=lambda fault: fault.__name__)
async def test_health_says_so_and_it_recovers_by_itself(site, fault):
    async with site.visitor() as visitor:
        ada = await person(visitor, site.runtime, "ada")
        await fault(site)
        await ada.get("/users/me")
        during = await visitor.get("/health")
        ready = await visitor.get("/health/ready")

        await mended(site)

        async def is_well() -> bool:
            answer = await ada.get("/users/me")
            health = await visitor.get("/health")
            cached = await site.redis.exists(f"myapi:cache:principal:{ada.id}")
            return (
                health.status_code == 200
                and "x-ratelimit-storage" not in answer.headers
                and cached == 1
            )

        assert await within(10, is_well)

    assert during.status_code == 503
    assert {n for n, c in during.json()["checks"].items() if c["status"] == "unhealthy"} == {
        "cache",
        "rate_limiter",
    }
    assert ready.status_code == 200
    assert ready.json()["status"] == "degraded"


@by_fault
async def test_who_is_logged_out_meanwhile_is_let_in_for_a_minute_at_most(site, fault):
    async with site.visitor() as visitor:
        ada = await person(visitor, site.runtime, "ada")
        await ada.get("/users/me")
        await fault(site)
        for _ in range(3):
            await ada.get("/users/me")

        await ada.post("/auth/logout")

        assert (await ada.get("/users/me")).status_code == 401
    # What another process, which reaches Redis, may still go by.
    for key in await site.redis.keys("myapi:cache:*"):
        assert 0 < await site.redis.ttl(key) <= 60

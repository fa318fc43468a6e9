"""R6, R15: Redis stopped, slow, black-holed, and one that refuses writes. All goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from app.core.config import Settings
from app.core.redis import PROBE_INTERVAL, CircuitBreaker
from app.embedded.valkey import EmbeddedValkey
from app.runtime import Runtime
from app.services.tombstones import TOMBSTONE
from tests.conftest import PASSWORD, Person, browsing, person, running
from tests.faults.conftest import LATE
from tests.faults.observing import loop_lag
from tests.polling import within_async
from tests.tcp_proxy import TcpProxy, proxied

pytestmark = pytest.mark.alone

LOGIN = "/api/v1/auth/login"


@dataclass
class Site:
    """An application, the way to its Redis, and what its visitors met."""

    app: FastAPI
    proxy: TcpProxy
    redis: Redis
    node: Redis
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


@pytest.fixture(scope="module")
def node(valkey: str) -> Iterator[str]:
    """Of a cluster, with the same password."""
    with TemporaryDirectory(prefix="backend-api-") as folder:
        server = EmbeddedValkey(Path(folder) / "valkey", {"cluster-enabled": "yes"})
        with server as url:
            password = urlsplit(valkey).password or ""
            with SyncRedis.from_url(url) as redis:
                redis.config_set("requirepass", password)
            yield url.replace(urlsplit(url).password or "", password)


@pytest.fixture
async def site(
    app, client, settings: Settings, valkey: str, node: str, impatient: None
) -> AsyncIterator[Site]:
    async with (
        proxied(valkey) as proxy,
        Redis.from_url(valkey) as redis,
        Redis.from_url(node) as own_node,
    ):
        await redis.config_set("maxmemory", "128mb")
        await redis.flushall()
        through = SecretStr(proxy.url)
        cut = settings.replaced(cache={"redis_url": through}, limiter={"redis_url": through})
        async with running(cut) as faulty:
            site = Site(faulty, proxy, redis, own_node)
            yield site
            await mended(site)


async def stopped(site: Site) -> None:
    site.proxy.close()


async def slow(site: Site) -> None:
    site.proxy.latency = 0.3


async def black_holed(site: Site) -> None:
    site.proxy.freeze()


async def out_of_memory(site: Site) -> None:
    await site.redis.config_set("maxmemory", "1")


async def read_only(site: Site) -> None:
    """A replica, whose primary is away."""
    await site.redis.replicaof("127.0.0.1", 1)


async def without_cluster(site: Site) -> None:
    """A node that has joined no cluster."""
    await to_node(site, slots=False)


async def in_cluster(site: Site) -> None:
    """The one node of a cluster: it reads two keys in one command from one slot alone."""
    await to_node(site, slots=True)


async def to_node(site: Site, *, slots: bool) -> None:
    await site.node.flushall()
    await site.node.execute_command("CLUSTER", "RESET", "HARD")
    if slots:
        await site.node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)

        async def is_complete() -> bool:
            return b"cluster_state:ok" in await site.node.execute_command("CLUSTER", "INFO")

        assert await within_async(10, is_complete)
    site.proxy.target = host_and_port(site.node)
    site.proxy.cut()


def host_and_port(redis: Redis) -> tuple[str, int]:
    options = redis.connection_pool.connection_kwargs
    return str(options["host"]), int(options["port"])


async def mended(site: Site) -> None:
    await site.redis.config_set("maxmemory", "128mb")
    await site.redis.replicaof("NO", "ONE")
    if site.proxy.target != host_and_port(site.redis):
        site.proxy.target = host_and_port(site.redis)
        site.proxy.cut()
    site.proxy.latency = 0.0
    site.proxy.thaw()
    if not site.proxy.is_open:
        await site.proxy.open()


REFUSALS = {
    out_of_memory: "OOM",
    read_only: "READONLY",
    without_cluster: "CLUSTERDOWN",
    in_cluster: "CROSSSLOT",
}
SILENCES = [stopped, slow, black_holed]
FAULTS = [*SILENCES, *REFUSALS]
by_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
by_refusal = pytest.mark.parametrize("fault", REFUSALS, ids=lambda fault: fault.__name__)


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
async def test_requests_succeed_during_the_fault_and_are_little_slower(site, fault, record):
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
    # The one node of a cluster counts on: that takes one key at a time.
    storage = None if fault is in_cluster else "memory"
    assert answers[-1].headers.get("x-ratelimit-storage") == storage


@by_fault
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

        assert await within_async(10, is_well)

    assert during.status_code == 503
    assert {n for n, c in during.json()["checks"].items() if c["status"] == "unhealthy"} == {
        "cache",
        "rate_limiter",
    }
    assert ready.status_code == 200
    assert ready.json()["status"] == "degraded"


@by_fault
async def test_a_session_ended_meanwhile_is_accepted_for_a_minute_at_most(site, fault):
    async with site.visitor() as visitor:
        ada = await person(visitor, site.runtime, "ada")
        await ada.get("/users/me")
        await fault(site)
        for _ in range(3):
            await ada.get("/users/me")

        await ada.post("/auth/logout")

        assert (await ada.get("/users/me")).status_code == 401
    # What another process, which reaches Redis, may still go by.
    for key in await site.redis.keys("myapi:cache:session:*"):
        assert 0 < await site.redis.ttl(key) <= 60


def breakers(site: Site) -> list[CircuitBreaker]:
    cache, limiter = site.runtime.cache, site.runtime.hits._breaker
    assert cache is not None
    assert limiter is not None
    return [cache, limiter]


async def test_connections_that_were_reset_cost_no_request_an_error(site, record):
    async with site.visitor() as visitor:
        ada = await person(visitor, site.runtime, "ada")
        root = await person(visitor, site.runtime, "root", is_superuser=True)
        places = set()
        for round_ in range(8):
            await asyncio.gather(*(ada.get("/users/me") for _ in range(16)))  # so many connections
            site.proxy.cut()
            await asyncio.sleep(0.02)
            sign_up = {"email": f"new-{round_}@example.com", "password": PASSWORD}
            answers = [
                await site.timed(request)
                for request in (
                    visitor.post("/api/v1/users", json=sign_up),
                    ada.patch("/users/me", json={"full_name": f"Ada {round_}"}),
                    root.get("/dashboard/stats"),
                    root.get("/metrics/cache"),
                    visitor.get("/health"),
                )
            ]
            places |= {answer.headers.get("x-ratelimit-storage") for answer in answers}
        site.proxy.cut()
        await site.timed(ada.post("/auth/logout"))
        after = await ada.get("/users/me")

    assert set(site.statuses) == {200, 201, 204}
    assert places == {None}  # Redis counted every hit
    assert after.status_code == 401
    assert not any(breaker.is_open for breaker in breakers(site))
    record("R6", "Redis connections reset", f"{len(site.statuses)} requests, no error")


@by_refusal
async def test_a_redis_that_refuses_what_is_needed_is_left_alone_until_it_does_it(site, fault):
    async with site.visitor() as visitor:
        ada = await person(visitor, site.runtime, "ada")
        await fault(site)
        name = {"full_name": "Ada Lovelace"}
        changed = await ada.patch("/users/me", json=name)
        health = await visitor.get("/health")

        async def is_left_alone() -> bool:
            return all(breaker.is_open for breaker in breakers(site))

        assert await within_async(1, is_left_alone)
        stays = []
        for _ in range(15):
            await asyncio.sleep(0.1)
            stays.append(await is_left_alone())
        await mended(site)
        mended_at = time.monotonic()

        def is_asked_again() -> bool:
            return not any(breaker.is_open for breaker in breakers(site))

        assert await within_async(5, is_asked_again)
        took = time.monotonic() - mended_at

    assert changed.status_code == 200
    assert all(stays)
    assert took < PROBE_INTERVAL + LATE
    assert health.status_code == 503
    checks = health.json()["checks"]
    words = {checks[name].get("error") for name in ("cache", "rate_limiter")}
    assert words == {REFUSALS[fault]}


@by_refusal
async def test_it_is_found_again_though_its_connections_are_reset_meanwhile(site, fault):
    async with site.visitor() as visitor:
        ada = await person(visitor, site.runtime, "ada")
        await fault(site)
        await ada.patch("/users/me", json={"full_name": "Ada Lovelace"})
        for _ in range(8):
            await asyncio.sleep(PROBE_INTERVAL / 4)
            site.proxy.cut()
        await mended(site)

        async def is_well() -> bool:
            health = await visitor.get("/health")
            return health.status_code == 200 and not any(b.is_open for b in breakers(site))

        assert await within_async(PROBE_INTERVAL + LATE, is_well)


async def test_a_probe_that_dies_is_replaced(site):
    (cache, _) = breakers(site)
    cache.open("a test")
    probing = cache._probing
    assert probing is not None
    probing.cancel()

    def is_closed() -> bool:
        return not cache.is_open

    assert await within_async(PROBE_INTERVAL + LATE, is_closed)


@by_refusal
async def test_an_end_that_redis_refuses_holds_at_once_and_is_written_later(site, fault):
    async with site.visitor() as visitor:
        ada = await person(visitor, site.runtime, "ada")
        bob = await person(visitor, site.runtime, "bob")
        root = await person(visitor, site.runtime, "root", is_superuser=True)
        for somebody in (ada, bob, root):
            await somebody.get("/users/me")
        await fault(site)

        await ada.post("/auth/logout")
        await root.patch(f"/users/{bob.id}", json={"is_active": False})

        during = [(await somebody.get("/users/me")).status_code for somebody in (ada, bob)]
        health = await visitor.get("/health")
        await mended(site)

        async def is_well() -> bool:
            return bool((await visitor.get("/health")).status_code == 200)

        assert await within_async(5, is_well)
        after = [(await somebody.get("/users/me")).status_code for somebody in (ada, bob)]
        stored = [await site.redis.get(f"myapi:cache:principal:{bob.id}")]

    assert during == after == [401, 401]
    assert health.json()["checks"]["cache"]["status"] == "unhealthy"
    assert stored == [TOMBSTONE]

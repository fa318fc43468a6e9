"""S18: an invalidation wins over what began before it, for all who wait, in every process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio import Redis

from app.core.cache import MemoryStore, RedisStore, ResultCache, invalidate_cache
from app.core.redis import CircuitBreaker, connect_redis
from tests.conftest import Servers, browsing, person, running
from tests.polling import within_async
from tests.tcp_proxy import TcpProxy, proxied

KEY, PREFIX = "stats:", "test:invalidation"


class Truth:
    """What there is to compute, and a computation that takes as long as the test wants."""

    def __init__(self) -> None:
        self.value = 1
        self.calls = 0
        self.has_begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def compute(self) -> bytes:
        """Read at the beginning, as a query does."""
        self.calls += 1
        read = b"%d" % self.value
        self.has_begun.set()
        await self.go_on.wait()
        return read


@pytest.fixture
async def proxy(servers: Servers) -> AsyncIterator[TcpProxy]:
    """The way to Redis of the cache `here`."""
    async with proxied(servers.redis) as proxy:
        yield proxy


@pytest.fixture
async def redis(servers: Servers) -> AsyncIterator[Redis]:
    async with Redis.from_url(servers.redis) as redis:
        for key in await redis.keys(f"{PREFIX}*"):
            await redis.delete(key)
        yield redis


@pytest.fixture
async def breakers(
    servers: Servers, proxy: TcpProxy, redis: Redis, impatient: None
) -> AsyncIterator[list[CircuitBreaker]]:
    through = servers.redis.replace(str(proxy.target[1]), str(proxy._port))
    breakers = [
        CircuitBreaker("cache", connect_redis(url), "test") for url in (through, servers.redis)
    ]
    yield breakers
    for breaker in breakers:
        breaker.close()
        await breaker.redis.aclose()


@pytest.fixture
async def here(breakers: list[CircuitBreaker]) -> ResultCache:
    return ResultCache(RedisStore(breakers[0]), PREFIX)


@pytest.fixture
async def there(breakers: list[CircuitBreaker]) -> ResultCache:
    """As good as another process."""
    return ResultCache(RedisStore(breakers[1]), PREFIX)


@pytest.fixture(params=["redis", "memory", "redis away"])
async def answers(
    request: pytest.FixtureRequest, here: ResultCache, breakers: list[CircuitBreaker]
) -> ResultCache:
    if request.param == "memory":
        return ResultCache(MemoryStore(), PREFIX)
    if request.param == "redis away":
        breakers[0].close()
        breakers[0].open("for the test")
    return here


async def test_a_computation_begun_before_an_invalidation_is_neither_stored_nor_shared(answers):
    """S18: in one process, with Redis, without it and while it is away."""
    truth = Truth()
    before = asyncio.create_task(answers.get_or_compute(KEY, 60, truth.compute))
    await truth.has_begun.wait()

    truth.value = 2
    await answers.invalidate("stats*")
    waiting = [
        asyncio.create_task(answers.get_or_compute(KEY, 60, truth.compute)) for _ in range(5)
    ]
    await asyncio.sleep(0.05)
    truth.go_on.set()

    assert (await before).body == b"1"  # it was asked for before
    assert {entry.body for entry in await asyncio.gather(*waiting)} == {b"2"}
    assert (await answers.get_or_compute(KEY, 60, truth.compute)).body == b"2"


async def test_a_computation_begun_in_another_process_is_neither_stored_nor_shared(here, there):
    """S18: whoever computes learns of it, and so do those who wait for them, here and there."""
    truth = Truth()
    before = asyncio.create_task(there.get_or_compute(KEY, 60, truth.compute))
    await truth.has_begun.wait()

    truth.value = 2
    await here.invalidate("stats*")
    waiting = [
        asyncio.create_task(answers.get_or_compute(KEY, 60, truth.compute))
        for answers in (here, there) * 3
    ]
    await asyncio.sleep(0.05)
    truth.go_on.set()

    assert (await before).body == b"1"
    assert {entry.body for entry in await asyncio.gather(*waiting)} == {b"2"}
    for answers in (here, there):
        assert (await answers.get_or_compute(KEY, 60, truth.compute)).body == b"2"


async def test_a_result_that_was_not_stored_has_no_max_age(here):
    """S18: nor by a browser or a proxy, to whom its seconds are told."""
    truth = Truth()
    before = asyncio.create_task(here.get_or_compute(KEY, 60, truth.compute))
    await truth.has_begun.wait()
    await here.invalidate("stats*")
    truth.go_on.set()

    assert (await before).ttl == 0


async def test_callers_that_waited_compute_once(here):
    """S18: one of them, and not each in turn."""
    truth = Truth()
    first = asyncio.create_task(here.get_or_compute(KEY, 60, truth.compute))
    await truth.has_begun.wait()
    waiting = [asyncio.create_task(here.get_or_compute(KEY, 60, truth.compute)) for _ in range(10)]
    await asyncio.sleep(0.05)
    await here.invalidate("stats*")
    truth.value = 2
    truth.go_on.set()
    await asyncio.gather(first, *waiting)

    assert truth.calls == 2


async def computed(value: bytes) -> bytes:
    return value


def computing(value: bytes) -> Callable[[], Awaitable[bytes]]:
    return lambda: computed(value)


async def test_an_invalidation_while_redis_is_away_holds_when_it_is_back(
    here, there, proxy, breakers
):
    """S18: this process reads nothing from Redis before it has cleared there what it had to."""
    await here.get_or_compute(KEY, 60, computing(b"1"))
    proxy.freeze()
    await here.invalidate("stats*")
    during = await here.get_or_compute(KEY, 60, computing(b"2"))
    proxy.thaw()

    def is_back() -> bool:
        return not breakers[0].is_open

    assert await within_async(10, is_back)
    assert during.body == b"2"
    for answers in (here, there):
        assert (await answers.get_or_compute(KEY, 60, computing(b"3"))).body == b"3"


async def test_a_hit_is_one_command_with_two_keys(here, redis):
    """S18: what guards it costs no round trip where nothing is computed."""
    await here.get_or_compute(KEY, 60, computing(b"1"))
    await redis.config_resetstat()

    await here.get_or_compute(KEY, 60, computing(b"2"))

    calls = {name: stats["calls"] for name, stats in (await redis.info("commandstats")).items()}
    ours = {name: count for name, count in calls.items() if "config" not in name}
    assert ours == {"cmdstat_mget": 1}


async def test_a_fresh_response_on_request_does_not_undo_an_invalidation_either(
    client, settings, runtime, monkeypatch
):
    """S18: `Cache-Control: no-cache` computes although there is an answer."""
    async with running(settings) as app, browsing(app) as other:
        root = await person(other, app.state.runtime, "root", is_superuser=True)
        assert (await root.get("/dashboard/stats")).status_code == 200
        dashboard = app.state.runtime.user_statistics
        original = dashboard.get_dashboard_stats_optimized
        has_begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow():
            stats = await original()
            has_begun.set()
            await go_on.wait()
            return stats

        monkeypatch.setattr(dashboard, "get_dashboard_stats_optimized", slow)
        other.headers["Cache-Control"] = "no-cache"
        fresh = asyncio.create_task(root.get("/dashboard/stats"))
        await has_begun.wait()
        del other.headers["Cache-Control"]
        monkeypatch.undo()
        await person(client, runtime, "ada")
        await invalidate_cache("get_dashboard_stats*")
        go_on.set()

        stale = await fresh
        after = await root.get("/dashboard/stats")

    assert (stale.json()["total_users"], after.json()["total_users"]) == (2, 3)
    assert stale.headers["Cache-Control"] == "private, no-store"

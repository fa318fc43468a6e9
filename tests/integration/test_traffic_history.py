"""The traffic of 24 hours: added up over processes, bounded, and kept while Redis is away."""

import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from app.core.cache import CacheMode
from app.core.redis import CircuitBreaker
from app.core.telemetry.metrics import LATENCY_BUCKETS
from app.core.telemetry.request_counters import RequestCounter
from app.schemas.monitoring.traffic_history import TrafficHistory
from app.services.monitoring.traffic_history import SLOT, SLOTS, TrafficHistoryService
from tests.polling import within_async


@pytest.fixture
async def breaker(runtime, client) -> AsyncIterator[CircuitBreaker]:
    """Around the emptied Redis, with keys that the running application does not use."""
    breaker = CircuitBreaker("cache", runtime.cache.redis, "history")
    yield breaker
    breaker.close()


class Process(TrafficHistoryService):
    """A service with requests of its own."""

    def __init__(self, redis: CircuitBreaker | None) -> None:
        self.counter = RequestCounter()
        super().__init__(redis, self.counter)

    def end(self, *statuses: int, route: str = "/api/v1/users", seconds: float = 0.1) -> None:
        for status in statuses:
            self.counter.ended("GET", route, status, seconds)


async def read(service: TrafficHistoryService) -> TrafficHistory:
    entry = await service.get_history(mode=CacheMode.NO_STORE)
    return TrafficHistory.model_validate_json(entry.body)


def totals(history: TrafficHistory) -> tuple[int, int, int]:
    slots = history.slots
    return (
        sum(slot.requests for slot in slots),
        sum(slot.client_errors for slot in slots),
        sum(slot.errors for slot in slots),
    )


async def test_processes_are_added_up_with_4xx_apart_from_5xx(breaker):
    one, other = Process(breaker), Process(breaker)
    one.end(200, 304, 404)
    await one.report()
    other.end(200, 500, 429, seconds=2.5)
    await other.report()
    await one.report()

    history = await read(one)

    assert history.is_shared
    assert totals(history) == totals(await read(other)) == (6, 2, 1)
    latency = [slot.p95_ms for slot in history.slots if slot.p95_ms is not None]
    assert 2000 <= max(latency) <= 3000


async def test_pages_of_operators_and_probes_are_no_traffic(breaker):
    service = Process(breaker)
    for route in ("/api/v1/dashboard/users", "/static/{path:path}", "/health/ready"):
        service.end(200, 404, route=route)
    service.end(200, route="/api/v1/dashboard/stats")
    await service.report()

    assert totals(await read(service)) == (1, 0, 0)


async def test_a_day_is_kept_and_no_more(breaker):
    service = Process(breaker)
    for status in (200, 304, 404, 500):
        for seconds in (*LATENCY_BUCKETS, 1000.0):
            service.end(status, seconds=seconds)
    await service.report()
    pattern = f"{breaker.prefix}:{{traffic}}:*"
    (key,) = await breaker.redis.keys(pattern)

    assert len((await read(service)).slots) == SLOTS + 1
    assert await breaker.redis.hlen(key) == 4 + len(LATENCY_BUCKETS) + 1
    assert SLOTS * SLOT < await breaker.redis.ttl(key) <= (SLOTS + 2) * SLOT


async def test_what_was_counted_while_redis_was_away_is_reported_in_its_place(breaker):
    service = Process(breaker)
    breaker.open("a test")
    service.end(200, 500)
    await service.report()
    service.end(404)
    await service.report()
    assert await breaker.redis.keys(f"{breaker.prefix}:{{traffic}}:*") == []

    assert await within_async(10, lambda: not breaker.is_open)
    await service.report()

    assert totals(await read(service)) == (3, 1, 1)


async def test_without_redis_a_process_has_its_own_and_a_day_of_it(breaker, monkeypatch):
    service = Process(None)
    service.end(200, 503)
    await service.report()
    now = time.time()

    history = await read(service)
    monkeypatch.setattr(time, "time", lambda: now + (SLOTS + 1) * SLOT)
    service.end(200)
    await service.report()
    later = await read(service)

    assert not history.is_shared
    assert totals(history) == (2, 0, 1)
    assert totals(later) == (1, 0, 0)


def test_a_request_adds_to_two_numbers():
    counter = RequestCounter()
    counter.ended("GET", "/api/v1/users", 200, 0.0012)
    counter.ended("GET", None, 404, 100)

    assert counter.take_unreported() == Counter({"2xx": 1, "p1": 1, "4xx": 1, "p27": 1})
    assert counter.take_unreported() == Counter()

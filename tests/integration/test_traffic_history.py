"""The traffic of a period: added up over processes, bounded, and kept while Redis is away."""

import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from app.core.cache import CacheMode
from app.core.redis import CircuitBreaker
from app.core.telemetry.metrics import LATENCY_BUCKETS
from app.core.telemetry.request_counters import RequestCounter
from app.schemas.monitoring.traffic_history import TrafficHistory
from app.schemas.monitoring.user_statistics import Period
from app.services.monitoring.traffic_history import DAYS, TEN_MINUTES, TrafficHistoryService
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


async def read(service: TrafficHistoryService, period: Period = Period.DAY) -> TrafficHistory:
    entry = await service.get_history(period, mode=CacheMode.NO_STORE)
    return TrafficHistory.model_validate_json(entry.body)


def totals(history: TrafficHistory) -> tuple[int, int, int]:
    slots = history.slots
    return (
        sum(slot.requests or 0 for slot in slots),
        sum(slot.client_errors or 0 for slot in slots),
        sum(slot.errors or 0 for slot in slots),
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


async def test_two_days_and_two_quarters_are_kept_and_no_more(breaker):
    service = Process(breaker)
    for status in (200, 304, 404, 500):
        for seconds in (*LATENCY_BUCKETS, 1000.0):
            service.end(status, seconds=seconds)
    await service.report()
    keys = await breaker.redis.keys(f"{breaker.prefix}:{{traffic}}:*")

    assert len(keys) == 2
    for key in keys:
        unit = DAYS if b"day" in key else TEN_MINUTES
        kept = 2 * unit.number * unit.seconds
        assert await breaker.redis.hlen(key) == 4 + len(LATENCY_BUCKETS) + 1 + 1
        assert kept < await breaker.redis.ttl(key) <= kept + 2 * unit.seconds


@pytest.mark.parametrize("period", Period)
async def test_a_period_has_its_slots_its_total_and_that_of_the_period_before(
    breaker, monkeypatch, period
):
    unit = DAYS if period.unit == "day" else TEN_MINUTES
    number = period.number if period.unit == "day" else unit.number
    now = time.time()
    for ago in range(2 * number + 2):  # the oldest is of no period
        service = Process(breaker)
        monkeypatch.setattr(time, "time", lambda ago=ago: now - ago * unit.seconds)
        service.end(*[200] * (3 if ago <= number else 2), *[500] * (ago == number))
        await service.report()
    monkeypatch.setattr(time, "time", lambda: now)

    history = await read(Process(breaker), period)

    assert [slot.requests for slot in history.slots] == [4, *[3] * number]
    assert (history.total.requests, history.total.errors) == (3 * number + 1, 1)
    assert (history.before.requests, history.before.errors) == (2 * number, 0)
    assert history.change("requests") == pytest.approx((number + 1) / (2 * number))
    assert history.change("errors") is None
    assert history.change("p95_ms") == 0.0


@pytest.mark.parametrize("is_shared", [True, False])
async def test_what_the_history_does_not_have_is_no_zero(breaker, monkeypatch, is_shared):
    """Before the service began to count, and where Redis has deleted a part."""
    service, now = Process(breaker if is_shared else None), time.time()
    for ago in (3, 1, 0):
        monkeypatch.setattr(time, "time", lambda ago=ago: now - ago * DAYS.seconds)
        service.end(*[200] * ago)
        await service.report()

    history = await read(service, Period.WEEK)

    requests = [slot.requests for slot in history.slots]
    assert requests == [None, None, None, None, 3, None, 1, 0]
    assert (history.total.known, history.total.slots) == (2, 7)
    assert (history.before.known, history.before.requests) == (0, 0)
    assert not history.is_comparable
    assert history.change("requests") is None


async def test_an_idle_process_begins_a_slot_once(breaker):
    service = Process(breaker)
    await service.report()
    (key, _) = sorted(await breaker.redis.keys(f"{breaker.prefix}:{{traffic}}:*"))
    await breaker.redis.delete(key)
    await service.report()

    assert (await read(service)).slots[-1].requests in {0, None}
    assert await breaker.redis.exists(key) == 0


async def test_what_was_counted_while_redis_was_away_is_reported_in_its_place(breaker, monkeypatch):
    service, now = Process(breaker), time.time()
    monkeypatch.setattr(time, "time", lambda: now)  # no slot ends meanwhile
    breaker.open("a test")
    service.end(200, 500)
    await service.report()
    service.end(404)
    await service.report()
    assert await breaker.redis.keys(f"{breaker.prefix}:{{traffic}}:*") == []
    assert len(service._own) == 2

    assert await within_async(10, lambda: not breaker.is_open)
    await service.report()

    assert totals(await read(service)) == (3, 1, 1)


async def test_without_redis_a_process_has_its_own_within_the_same_bound(breaker, monkeypatch):
    service = Process(None)
    service.end(200, 503)
    await service.report()
    now = time.time()

    history = await read(service)
    monkeypatch.setattr(time, "time", lambda: now + DAYS.ttl)
    service.end(200)
    await service.report()
    later = await read(service)

    assert not history.is_shared
    assert totals(history) == (2, 0, 1)
    assert totals(later) == (1, 0, 0)
    assert len(service._own) == 2


def test_a_request_adds_to_two_numbers():
    counter = RequestCounter()
    counter.ended("GET", "/api/v1/users", 200, 0.0012)
    counter.ended("GET", None, 404, 100)

    assert counter.take_unreported() == Counter({"2xx": 1, "p1": 1, "4xx": 1, "p27": 1})
    assert counter.take_unreported() == Counter()

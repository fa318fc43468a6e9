"""`TrafficHistoryService`: requests, errors and latency of a period, of all processes."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import inf
from typing import NamedTuple

from app.core.cache import cache
from app.core.exceptions import ServiceUnavailableException
from app.core.redis import CircuitBreaker, RedisUnavailable
from app.core.telemetry import request_counter
from app.core.telemetry.metrics import LATENCY_BUCKETS
from app.core.telemetry.request_counters import RequestCounter
from app.core.telemetry.traffic import percentile
from app.schemas.monitoring.traffic_history import TrafficHistory, TrafficSlot, TrafficTotal
from app.schemas.monitoring.user_statistics import Period


class Unit(NamedTuple):
    """Requests are counted by it.

    Attributes:
        name: part of the keys.
        seconds: its length.
        number: slots of the longest period. Twice as many are kept, for the period before.
    """

    name: str
    seconds: int
    number: int

    def at(self, moment: float) -> int:
        """The number of the slot of a moment."""
        return int(moment) // self.seconds

    @property
    def ttl(self) -> int:
        return (2 * self.number + 2) * self.seconds


TEN_MINUTES = Unit("", 600, 144)
DAYS = Unit("day:", 86_400, Period.QUARTER.number)
RUNS = "runs"
"""Field of a slot that is there without a request too: the service ran, and had none."""
HISTORY_TTL = 60
"""Seconds that the history is cached."""

Counts = Mapping[str, int]
Slot = tuple[Unit, int]


class TrafficHistoryService:
    """Adds this process's requests to those of all: hashes of Redis, of some 30 numbers, for each
    ten minutes of two days, and for each day of half a year: 470 in all. Without Redis a process
    keeps its own.

    Args:
        redis: the cache's; None where there is none.
        counter: of this process.
    """

    def __init__(
        self, redis: CircuitBreaker | None, counter: RequestCounter = request_counter
    ) -> None:
        self._redis = redis
        self._counter = counter
        self._own: dict[Slot, Counter[str]] = {}
        self._begun: set[Slot] = set()

    async def report(self) -> None:
        """Add what was counted since the last call. While Redis is away it is kept; what was sent
        without an answer may have been added, and is not sent again."""
        now, taken = time.time(), self._counter.take_unreported()
        current = {(unit, unit.at(now)) for unit in (TEN_MINUTES, DAYS)}
        for slot in current:
            self._own.setdefault(slot, Counter({RUNS: 0})).update(taken)
        for unit, number in [*self._own]:
            if number < unit.at(now) - 2 * unit.number:
                del self._own[unit, number]
        if self._redis is None or self._redis.is_open:
            return
        pending = {
            slot: counts
            for slot, counts in self._own.items()
            if counts.total() or slot not in self._begun
        }
        self._own = {}
        if pending and await self._add(self._redis, pending):
            self._begun = current

    @cache(expire=HISTORY_TTL)
    async def get_history(self, period: Period = Period.DAY) -> TrafficHistory:
        """The traffic of a period, and of the one before.

        Raises:
            ServiceUnavailableException: Redis, which has them, is away.
        """
        unit = DAYS if period.unit == "day" else TEN_MINUTES
        number = period.number if unit is DAYS else unit.number
        now = unit.at(time.time())
        slots = range(now - 2 * number, now + 1)
        found = await self._read(unit, slots)
        shown = zip(slots[number:], found[number:], strict=True)
        return TrafficHistory(
            slots=[_slot(slot * unit.seconds, counts) for slot, counts in shown],
            total=_total(found[number:-1]),
            before=_total(found[:number]),
            is_shared=self._redis is not None,
        )

    async def _read(self, unit: Unit, slots: range) -> list[Counts]:
        if (breaker := self._redis) is None:
            return [self._own.get((unit, slot), {}) for slot in slots]
        pipeline = breaker.redis.pipeline(transaction=False)
        for slot in slots:
            pipeline.hgetall(_key(breaker, (unit, slot)))
        try:
            found = await breaker.call(pipeline.execute)
        except RedisUnavailable as error:
            raise ServiceUnavailableException from error
        return [{name.decode(): int(count) for name, count in one.items()} for one in found]

    @staticmethod
    async def _add(breaker: CircuitBreaker, pending: Mapping[Slot, Counts]) -> bool:
        """Returns: whether it was added."""
        pipeline = breaker.redis.pipeline(transaction=False)
        for slot, counts in pending.items():
            for name, count in counts.items():
                pipeline.hincrby(_key(breaker, slot), name, count)
            pipeline.expire(_key(breaker, slot), slot[0].ttl)
        try:
            await breaker.call(pipeline.execute)
        except RedisUnavailable:
            return False
        return True


def _key(breaker: CircuitBreaker, slot: Slot) -> str:
    """All of one hash tag: a cluster stores and reads them together."""
    unit, number = slot
    return f"{breaker.prefix}:{{traffic}}:{unit.name}{number}"


def _slot(begin: int, counts: Counts) -> TrafficSlot:
    moment = datetime.fromtimestamp(begin, UTC)
    if not counts:
        return TrafficSlot(
            moment=moment, requests=None, client_errors=None, errors=None, p95_ms=None
        )
    return TrafficSlot.model_validate({"moment": moment, **_figures(counts)})


def _total(slots: Sequence[Counts]) -> TrafficTotal:
    counts = _sum(slots)
    known = sum(bool(slot) for slot in slots)
    return TrafficTotal.model_validate({"slots": len(slots), "known": known, **_figures(counts)})


def _sum(slots: Iterable[Counts]) -> Counts:
    counts: Counter[str] = Counter()
    for slot in slots:
        counts.update(slot)
    return counts


def _figures(counts: Counts) -> dict[str, float | None]:
    buckets, below = {}, 0
    for place, bound in enumerate((*LATENCY_BUCKETS, inf)):
        below += counts.get(f"p{place}", 0)
        buckets[bound] = below
    p95 = percentile(buckets, 0.95)
    return {
        "requests": below,
        "client_errors": counts.get("4xx", 0),
        "errors": counts.get("5xx", 0),
        "p95_ms": None if p95 is None else round(p95 * 1000, 2),
    }

"""`TrafficHistoryService`: requests, errors and latency of the last 24 hours, of all processes."""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from math import inf

from app.core.cache import cache
from app.core.exceptions import ServiceUnavailableException
from app.core.redis import CircuitBreaker, RedisUnavailable
from app.core.telemetry import request_counter
from app.core.telemetry.metrics import LATENCY_BUCKETS
from app.core.telemetry.request_counters import RequestCounter
from app.core.telemetry.traffic import percentile
from app.schemas.monitoring.traffic_history import TrafficHistory, TrafficSlot

SLOT = 600
"""Seconds that are counted together."""
SLOTS = 144
"""Whole slots that are kept: 24 hours."""
HISTORY_TTL = 60
"""Seconds that the history is cached."""

Counts = Mapping[str, int]


class TrafficHistoryService:
    """Adds this process's requests to those of all: a hash of Redis for each slot, of some 30
    numbers, and 24 hours of them. Without Redis a process keeps its own.

    Args:
        redis: the cache's; None where there is none.
        counter: of this process.
    """

    def __init__(
        self, redis: CircuitBreaker | None, counter: RequestCounter = request_counter
    ) -> None:
        self._redis = redis
        self._counter = counter
        self._own: dict[int, Counter[str]] = {}

    async def report(self) -> None:
        """Add what was counted since the last call. While Redis is away it is kept; what was sent
        without an answer may have been added, and is not sent again."""
        slot = int(time.time()) // SLOT
        self._own.setdefault(slot, Counter()).update(self._counter.take_unreported())
        for old in [one for one in self._own if one < slot - SLOTS]:
            del self._own[old]
        if self._redis is None or self._redis.is_open:
            return
        pending = {one: counts for one, counts in self._own.items() if counts}
        self._own = {}
        if pending:
            await self._add(self._redis, pending)

    @cache(expire=HISTORY_TTL)
    async def get_history(self) -> TrafficHistory:
        """The last 24 hours.

        Raises:
            ServiceUnavailableException: Redis, which has them, is away.
        """
        now = int(time.time()) // SLOT
        slots = range(now - SLOTS, now + 1)
        found = await self._read(slots)
        return TrafficHistory(
            slots=[_slot(slot, counts) for slot, counts in zip(slots, found, strict=True)],
            is_shared=self._redis is not None,
        )

    async def _read(self, slots: range) -> list[Counts]:
        if (breaker := self._redis) is None:
            return [self._own.get(slot, {}) for slot in slots]
        pipeline = breaker.redis.pipeline(transaction=False)
        for slot in slots:
            pipeline.hgetall(_key(breaker, slot))
        try:
            found = await breaker.call(pipeline.execute)
        except RedisUnavailable as error:
            raise ServiceUnavailableException from error
        return [{name.decode(): int(count) for name, count in one.items()} for one in found]

    @staticmethod
    async def _add(breaker: CircuitBreaker, pending: Mapping[int, Counts]) -> None:
        pipeline = breaker.redis.pipeline(transaction=False)
        for slot, counts in pending.items():
            for name, count in counts.items():
                pipeline.hincrby(_key(breaker, slot), name, count)
            pipeline.expire(_key(breaker, slot), (SLOTS + 2) * SLOT)
        try:
            await breaker.call(pipeline.execute)
        except RedisUnavailable:
            return


def _key(breaker: CircuitBreaker, slot: int) -> str:
    """All of one hash tag: a cluster stores and reads them together."""
    return f"{breaker.prefix}:{{traffic}}:{slot}"


def _slot(slot: int, counts: Counts) -> TrafficSlot:
    buckets, below = {}, 0
    for place, bound in enumerate((*LATENCY_BUCKETS, inf)):
        below += counts.get(f"p{place}", 0)
        buckets[bound] = below
    p95 = percentile(buckets, 0.95)
    return TrafficSlot(
        moment=datetime.fromtimestamp(slot * SLOT, UTC),
        requests=below,
        client_errors=counts.get("4xx", 0),
        errors=counts.get("5xx", 0),
        p95_ms=None if p95 is None else round(p95 * 1000, 2),
    )

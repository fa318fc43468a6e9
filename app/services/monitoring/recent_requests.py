"""`RecentRequests`: records of recent requests in the cache's Redis, sampled (ADR 28)."""

from operator import attrgetter
from random import random
from time import time
from typing import Any, Literal

import structlog
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from app.core.config.sections import TelemetrySettings
from app.core.redis import CircuitBreaker, RedisUnavailable
from app.core.telemetry.ended_request import EndedRequest
from app.core.telemetry.request_counters import UNMATCHED
from app.core.telemetry.traffic import is_operational

log = structlog.get_logger("app.requests")

Kind = Literal["failed", "slow", "refused", "answered"]
SAMPLE_SIZES: dict[Kind, int] = {"failed": 100, "slow": 50, "refused": 50, "answered": 20}
"""Requests of a kind that one process stores at each write, once a second."""
TTL = 86_400
"""Seconds for which a record is shown; Redis drops the lists so long after the last write."""
SHAPE = 1
"""Part of the keys. Another number leaves the records of releases with other fields alone."""

_RECORD = TypeAdapter(EndedRequest)


class _Sample:
    """At most `size` requests, each with the same chance, of all that were added."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.seen = 0
        self.chosen: list[EndedRequest] = []

    def add(self, request: EndedRequest) -> None:
        self.seen += 1
        if len(self.chosen) < self._size:
            self.chosen.append(request)
        elif (place := int(random() * self.seen)) < self._size:  # noqa: S311  # no secret
            self.chosen[place] = request

    def add_all(self, other: "_Sample") -> None:
        """Add the requests of a sample, and count those among which they were chosen."""
        for request in other.chosen:
            self.add(request)
        self.seen += other.seen - len(other.chosen)

    def as_json(self) -> list[bytes]:
        weight = round(self.seen / len(self.chosen), 2)
        return [to_json(request._replace(stands_for=weight)) for request in self.chosen]


class RecentRequests:
    """Records requests in memory and writes them once a second, in one round trip. Requests do
    not wait for Redis; while it is unavailable the sample is kept, within the same bound.

    Args:
        cache: the cache's Redis; None where there is none.
        settings: how many are stored, and from when on a request is slow.

    Attributes:
        limit: requests of each kind that are stored; 0 for none.
        slow_after: seconds.
    """

    def __init__(self, cache: CircuitBreaker | None, settings: TelemetrySettings) -> None:
        self._cache = cache
        self.limit = settings.recent_requests
        self.slow_after = settings.slow_request
        self._samples = _new_samples()

    @property
    def is_available(self) -> bool:
        """Whether any are recorded at all."""
        return self._cache is not None and self.limit > 0

    def add(self, request: EndedRequest) -> None:
        """Record a request, unless it succeeded and was for what operators look at."""
        if request.status < 400 and is_operational(request.route or UNMATCHED):
            return
        self._samples[self.kind_of(request)].add(request)

    def kind_of(self, request: EndedRequest) -> Kind:
        if request.status >= 500:
            return "failed"
        if request.seconds >= self.slow_after:  # also of slow clients, who displace no failure
            return "slow"
        return "refused" if request.status >= 400 else "answered"

    async def write(self) -> None:
        """Store what was recorded since the last time."""
        samples = {kind: one for kind, one in self._samples.items() if one.seen}
        if not samples or self._cache is None:
            return
        self._samples = _new_samples()
        pipeline = self._cache.redis.pipeline(transaction=False)
        for kind, sample in samples.items():
            key = self._key(kind)
            pipeline.lpush(key, *sample.as_json())
            pipeline.ltrim(key, 0, self.limit - 1)
            pipeline.expire(key, TTL)
        try:
            await self._cache.call(pipeline.execute)
        except RedisUnavailable:
            for kind, sample in samples.items():
                self._samples[kind].add_all(sample)

    async def newest(self) -> list[EndedRequest]:
        """All requests that are stored, the newest first, those of this process included.

        Raises:
            RedisUnavailable: they cannot be read now.
        """
        if self._cache is None:
            return []
        await self.write()
        pipeline = self._cache.redis.pipeline(transaction=False)
        for kind in SAMPLE_SIZES:
            pipeline.lrange(self._key(kind), 0, self.limit - 1)
        lists: list[Any] = await self._cache.call(pipeline.execute)
        oldest = time() - TTL
        found = [record for one in lists for line in one if (record := _record(line)) is not None]
        # What was written without an answer in time is written again.
        once = {(request.at, request.id): request for request in found if request.at > oldest}
        return sorted(once.values(), key=attrgetter("at"), reverse=True)

    def _key(self, kind: Kind) -> str:
        prefix = "" if self._cache is None else self._cache.prefix
        return f"{prefix}:{{requests}}:{SHAPE}:{kind}"


def _record(line: bytes) -> EndedRequest | None:
    """The record; None where another program wrote the line."""
    try:
        return _RECORD.validate_json(line)
    except ValidationError:
        return None


def _new_samples() -> dict[Kind, _Sample]:
    return {kind: _Sample(size) for kind, size in SAMPLE_SIZES.items()}

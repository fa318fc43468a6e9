"""Tombstones: written to Redis in the place of what must not be read any more, sooner or later."""

import asyncio
import time
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

import structlog

from app.core.redis import CircuitBreaker, RedisUnavailable

log = structlog.get_logger("app.redis")

TOMBSTONE = b"-"
MAX_UNWRITTEN = 10_000
"""Keys that wait for Redis to be back: about 3 MB. With more, it is not read from until whatever it
holds has expired."""
AT_ONCE = 500
"""Keys in one pipeline."""
LAST_TRY = 1.0
"""Seconds that a process which stops spends on writing what is left."""


class _Burial(NamedTuple):
    """Compared by identity: two of one key are two.

    Attributes:
        ttl: seconds that the tombstone lives.
        until: when nothing is left in Redis that it would have to replace, by the monotonic clock.
    """

    ttl: int
    until: float


class Tombstones:
    """Replaces keys by tombstones, and does it later where Redis is away.

    A key whose tombstone is not written yet counts as buried in this process at once. Until it is
    written the breaker stays open, so that this process reads nothing from a Redis that lacks it.

    Args:
        breaker: to the Redis that holds the keys.
        lifetime: seconds after which nothing is left there of what was to be replaced.
    """

    def __init__(self, breaker: CircuitBreaker, lifetime: float) -> None:
        self._breaker = breaker
        self._lifetime = lifetime
        self._unwritten: dict[str, _Burial] = {}
        self._distrusted_until = 0.0
        breaker.before_closing.append(self._write_missed)

    def __contains__(self, key: str) -> bool:
        """Whether its tombstone waits to be written."""
        return key in self._unwritten

    async def bury(self, ttls: Mapping[str, int]) -> None:
        """Replace keys by tombstones.

        Args:
            ttls: by key, the seconds that its tombstone lives.
        """
        until = time.monotonic() + self._lifetime
        burials = {key: _Burial(ttl, until) for key, ttl in ttls.items()}
        self._unwritten |= burials
        self._keep_bounded()
        try:
            await self._breaker.call(lambda: self._write(burials))
        except RedisUnavailable:
            self._breaker.open("a tombstone could not be written")
        except BaseException:  # the request was cancelled: nobody knows whether it was written
            self._breaker.open("a tombstone may not have been written")
            raise
        else:
            self._written(burials)

    async def close(self) -> None:
        """Try once more to write what is left, before the process ends."""
        try:
            async with asyncio.timeout(LAST_TRY):
                await self._write_missed()
        except Exception as error:  # noqa: BLE001  # it must not keep the process from ending
            log.warning("tombstones_unwritten", keys=len(self._unwritten), reason=repr(error))

    def _keep_bounded(self) -> None:
        while len(self._unwritten) > MAX_UNWRITTEN:
            dropped = self._unwritten.pop(next(iter(self._unwritten)))
            self._distrusted_until = max(self._distrusted_until, dropped.until)

    async def _write_missed(self) -> bool:
        """Write what waits; whether there was anything.

        Raises:
            RedisUnavailable: more was missed than could be remembered, and not long ago.
        """
        was_missed = bool(self._unwritten)
        while self._unwritten:
            some = dict(islice(self._unwritten.items(), AT_ONCE))
            await self._write(some)
            self._written(some)
        if self._distrusted_until > time.monotonic():
            raise RedisUnavailable("too many tombstones were missed")
        return was_missed

    async def _write(self, burials: Mapping[str, _Burial]) -> None:
        now = time.monotonic()
        pipeline = self._breaker.redis.pipeline(transaction=False)
        # Deleted first: a Redis that is out of memory takes no tombstone, but still deletes.
        pipeline.unlink(*burials)
        for key, burial in burials.items():
            if burial.until > now:
                pipeline.set(key, TOMBSTONE, ex=burial.ttl)
        await pipeline.execute()

    def _written(self, burials: Mapping[str, _Burial]) -> None:
        for key, burial in burials.items():
            if self._unwritten.get(key) is burial:  # and not a later one, which may have failed
                del self._unwritten[key]

"""Tombstones: markers in Redis that replace invalidated entries, written later if Redis fails."""

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
"""Maximum number of unwritten tombstones: about 3 MB. With more, Redis is not read until all of its
entries have expired."""
PIPELINE_MAX = 500
"""Maximum number of keys in one pipeline."""
LAST_TRY = 1.0
"""Timeout of the last attempt to write, when the process stops, in seconds."""


class _Tombstone(NamedTuple):
    """A tombstone to write. Compared by identity, since a key can be invalidated twice.

    Attributes:
        ttl: lifetime in seconds.
        until: expiry of the entries that it replaces, by the monotonic clock.
    """

    ttl: int
    until: float


class Tombstones:
    """Replaces keys by tombstones, later if Redis is unavailable.

    In this process a key counts as replaced at once. The breaker stays open until the tombstone is
    written, so that this process reads nothing from a Redis that lacks it.

    Args:
        breaker: to the Redis with the keys.
        lifetime: maximum lifetime of the replaced entries, in seconds.
    """

    def __init__(self, breaker: CircuitBreaker, lifetime: float) -> None:
        self._breaker = breaker
        self._lifetime = lifetime
        self._unwritten: dict[str, _Tombstone] = {}
        self._distrusted_until = 0.0
        breaker.before_closing.append(self._write_missed)

    def __contains__(self, key: str) -> bool:
        """Whether a key's tombstone is not written yet."""
        return key in self._unwritten

    async def replace(self, ttls: Mapping[str, int]) -> None:
        """Replace keys by tombstones.

        Args:
            ttls: key → lifetime of its tombstone, in seconds.
        """
        until = time.monotonic() + self._lifetime
        tombstones = {key: _Tombstone(ttl, until) for key, ttl in ttls.items()}
        self._unwritten |= tombstones
        self._keep_bounded()
        try:
            await self._breaker.call(lambda: self._write(tombstones))
        except RedisUnavailable:
            self._breaker.open("a tombstone could not be written")
        except BaseException:  # the request was cancelled: the outcome is unknown
            self._breaker.open("a tombstone may not have been written")
            raise
        else:
            self._written(tombstones)

    async def close(self) -> None:
        """Try once more to write the missed tombstones, before the process ends."""
        try:
            async with asyncio.timeout(LAST_TRY):
                await self._write_missed()
        except Exception as error:  # noqa: BLE001  # must not prevent the process from ending
            log.warning("tombstones_unwritten", keys=len(self._unwritten), reason=repr(error))

    def _keep_bounded(self) -> None:
        while len(self._unwritten) > MAX_UNWRITTEN:
            dropped = self._unwritten.pop(next(iter(self._unwritten)))
            self._distrusted_until = max(self._distrusted_until, dropped.until)

    async def _write_missed(self) -> bool:
        """Write the missed tombstones; whether there were any.

        Raises:
            RedisUnavailable: more than `MAX_UNWRITTEN` were missed, and entries have not expired.
        """
        was_missed = bool(self._unwritten)
        while self._unwritten:
            some = dict(islice(self._unwritten.items(), PIPELINE_MAX))
            await self._write(some)
            self._written(some)
        if self._distrusted_until > time.monotonic():
            raise RedisUnavailable("too many tombstones were missed")
        return was_missed

    async def _write(self, tombstones: Mapping[str, _Tombstone]) -> None:
        now = time.monotonic()
        pipeline = self._breaker.redis.pipeline(transaction=False)
        # Deleted first: a Redis that is out of memory takes no tombstone, but still deletes.
        for key in tombstones:  # a command each: a cluster stores them on several nodes
            pipeline.execute_command("UNLINK", key)  # the pipeline of a cluster has no `unlink`
        for key, tombstone in tombstones.items():
            if tombstone.until > now:
                pipeline.set(key, TOMBSTONE, ex=tombstone.ttl)
        await pipeline.execute()

    def _written(self, tombstones: Mapping[str, _Tombstone]) -> None:
        for key, tombstone in tombstones.items():
            if self._unwritten.get(key) is tombstone:  # and not a later one, which may have failed
                del self._unwritten[key]

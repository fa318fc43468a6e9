"""`WorkerPresence`: the processes that run jobs, as they report themselves in Redis."""

import asyncio
import os
import socket
import time
from contextlib import suppress

from app.core.redis import CircuitBreaker, RedisUnavailable

INTERVAL = 15.0
"""Seconds between two reports of a worker."""
SEEN_WITHIN = 60.0
"""Seconds for which a worker counts after its last report."""


class WorkerPresence:
    """Reports this process as a worker, and counts those that did: one sorted set, by the time of
    the last report.

    Args:
        redis: the cache's; None where there is none, and nothing is known.
    """

    def __init__(self, redis: CircuitBreaker | None) -> None:
        self._redis = redis
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    async def report(self) -> None:
        """Report this process until the task is cancelled, and then that it has ended."""
        if (breaker := self._redis) is None:
            return
        key, redis = self._key(breaker), breaker.redis

        async def write() -> None:
            now = time.time()
            pipeline = redis.pipeline(transaction=False)
            pipeline.zadd(key, {self._name: now})
            pipeline.zremrangebyscore(key, "-inf", now - SEEN_WITHIN)
            pipeline.expire(key, int(SEEN_WITHIN))
            await pipeline.execute()

        try:
            while True:
                with suppress(RedisUnavailable):
                    await breaker.call(write)
                await asyncio.sleep(INTERVAL)
        finally:
            with suppress(RedisUnavailable):
                await breaker.call(lambda: redis.zrem(key, self._name))

    async def count(self) -> int | None:
        """Workers seen within `SEEN_WITHIN`; None where it cannot be known."""
        if (breaker := self._redis) is None:
            return None
        since = time.time() - SEEN_WITHIN
        try:
            seen = await breaker.call(
                lambda: breaker.redis.zcount(self._key(breaker), since, "+inf")
            )
        except RedisUnavailable:
            return None
        return int(seen)

    @staticmethod
    def _key(breaker: CircuitBreaker) -> str:
        return f"{breaker.prefix}:workers"

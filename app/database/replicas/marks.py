"""`WriteMarks`: the position of each caller's last commit in the primary's log, in Redis."""

import time
from math import ceil

import structlog
from sqlalchemy import text

from app.core.caller import current_caller
from app.core.redis import CircuitBreaker, RedisUnavailable
from app.core.timeouts import with_timeout
from app.database.driver import SAME_COLUMNS
from app.database.reads import Reads

NEVER = 2**64 - 1
"""A position that no replica reaches."""
TTL_MARGIN = 30.0
"""Seconds that a mark lives longer than a replica in use may lag: a replica that lags more is
noticed, and left out, well within them."""
MARK_TIMEOUT = 0.2
"""Seconds that a commit may wait for its position. Without it, reads stay on the primary."""
# Of the whole log, and so at or after the commit, which has ended. One that was not flushed yet is
# included (`synchronous_commit=off`).
_POSITION = text(f"{SAME_COLUMNS}SELECT (pg_current_wal_insert_lsn() - '0/0')::text")

log = structlog.get_logger("app.replicas")


class WriteMarks:
    """Marks of commits, which expire once every replica in use has them anyway.

    A process that could not read or write a mark reads from the primary until all marks that it may
    have missed have expired: for `DATABASE_REPLICA_MAX_LAG` and half a minute.

    Args:
        primary: reads the position.
        breaker: to the cache's Redis.
        prefix: of every key.
        max_lag: seconds that a replica in use may lag.
    """

    def __init__(
        self, primary: Reads, breaker: CircuitBreaker, prefix: str, max_lag: float
    ) -> None:
        self._primary = primary
        self._breaker = breaker
        self._prefix = f"{prefix}:written:"
        self._ttl = ceil(max_lag + TTL_MARGIN)
        self._distrusted_until = 0.0

    async def mark(self) -> None:
        """Mark a commit of the current caller, which has just ended. Raises nothing."""
        position = await self._position()
        keys = [self._everyone, *self._key(current_caller())]
        pipeline = self._breaker.redis.pipeline(transaction=False)
        for key in keys:
            pipeline.set(key, position, ex=self._ttl)
        try:
            await self._breaker.call(pipeline.execute)
        except RedisUnavailable:
            self._distrust()
        except BaseException:  # the request was cancelled: the outcome is unknown
            self._distrust()
            raise

    async def of_caller(self) -> int:
        """The position from which on a replica has all that the current caller wrote. `NEVER` for
        an unknown caller, and where Redis does not tell."""
        keys = self._key(current_caller())
        return await self._read(keys) if keys else NEVER

    async def of_everyone(self) -> int:
        """The same for the writes of all callers: for results that callers share."""
        return await self._read([self._everyone])

    @property
    def _everyone(self) -> str:
        return f"{self._prefix}last"

    def _key(self, caller: int | None) -> list[str]:
        return [] if caller is None else [f"{self._prefix}{caller}"]

    async def _read(self, keys: list[str]) -> int:
        if time.monotonic() < self._distrusted_until:
            return NEVER
        try:
            [found] = await self._breaker.get(*keys)
        except RedisUnavailable:
            self._distrust()
            return NEVER
        return int(found or 0)

    async def _position(self) -> int:
        try:
            rows = await with_timeout(MARK_TIMEOUT, lambda: self._primary.rows(_POSITION))
        except Exception as error:  # noqa: BLE001  # the commit has succeeded, whatever fails now
            log.warning("position_unknown", reason=repr(error))
            return NEVER
        return int(rows[0][0])

    def _distrust(self) -> None:
        self._distrusted_until = time.monotonic() + self._ttl

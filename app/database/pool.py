"""The connection pool, and how full it is."""

import logging
from dataclasses import dataclass

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

# SQLAlchemy names it after the class; below its own name it would tell of each disposal.
logging.getLogger(f"{__name__}.WatchedPool").setLevel(logging.WARNING)


class WatchedPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool, which also knows who waits for it.

    Attributes:
        waiting: callers that wait for a connection to be handed back.
        timeouts: callers so far that waited in vain.
    """

    waiting = 0
    timeouts = 0

    def _do_get(self) -> ConnectionPoolEntry:
        if self.checkedin() or self._overflow < self._max_overflow:
            return super()._do_get()
        self.waiting += 1
        try:
            return super()._do_get()
        except PoolTimeoutError:
            self.timeouts += 1
            raise
        finally:
            self.waiting -= 1


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """Connections of one process at one moment.

    Attributes:
        pool_size: that are kept open at most.
        checked_in: open and idle.
        checked_out: in use, or being opened.
        overflow: beyond `pool_size`; 0 while there is none.
        waiting: callers that wait for one.
        timeouts: callers so far that waited in vain.
    """

    pool_size: int
    checked_in: int
    checked_out: int
    overflow: int
    waiting: int
    timeouts: int

    @property
    def total_connections(self) -> int:
        return self.checked_in + self.checked_out


def pool_usage(engine: AsyncEngine) -> PoolUsage:
    """What the pool knows of itself, without a connection of it.

    Raises:
        TypeError: `engine` was not made by `get_engine`.
    """
    pool = engine.pool
    if not isinstance(pool, WatchedPool):
        raise TypeError("only an engine of get_engine has a pool that is watched")
    return PoolUsage(
        pool_size=pool.size(),
        checked_in=pool.checkedin(),
        checked_out=pool.checkedout(),
        # SQLAlchemy counts it up from minus the pool's size.
        overflow=max(0, pool.overflow()),
        waiting=pool.waiting,
        timeouts=pool.timeouts,
    )

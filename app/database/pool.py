"""The connection pool, and how full it is."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import await_only

from app.core.middleware.deadline import Deadline, current_deadline

# SQLAlchemy names it after the class; below its own name it would tell of each disposal.
logging.getLogger(f"{__name__}.WatchedPool").setLevel(logging.WARNING)

PATIENCE = 0.02
"""Seconds that a caller waits for one of the connections that are kept, before it opens another:
to open one takes about as long, and keeps processors busy here and at the server."""

_Turn = asyncio.Future[ConnectionPoolEntry | None]
_Line = deque[_Turn]


class _Places:
    """As many as the pool may have connections; handed on in order, with the connection.

    Args:
        kept: that are taken at once.
        most: those included that take some patience.
        put_back: takes a connection for which no caller waits.
    """

    def __init__(
        self, kept: int, most: int, put_back: Callable[[ConnectionPoolEntry], None]
    ) -> None:
        self._kept = kept
        self._most = most
        self._put_back = put_back
        self._taken = 0
        self._lines: tuple[_Line, _Line] = deque(), deque()

    def take(self, *, patiently: bool = True) -> bool:
        """Take a place, if one is free: then nobody waits for it.

        Args:
            patiently: only one of those that are kept.
        """
        if self._taken < (self._kept if patiently else self._most):
            self._taken += 1
            return True
        return False

    async def wait(self, *, is_first: bool) -> ConnectionPoolEntry | None:
        """Take the place that is handed over next, before those who are not `is_first`, and the
        connection that comes with it; or, after some patience, one that is free."""
        loop = asyncio.get_running_loop()
        turn: _Turn = loop.create_future()
        self._lines[not is_first].append(turn)
        patience = loop.call_later(PATIENCE, self._let_in, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was our turn, just when we went
                self.give(turn.result())
            raise
        finally:
            patience.cancel()

    def _let_in(self, turn: _Turn) -> None:
        if not turn.done() and self.take(patiently=False):
            turn.set_result(None)

    def give(self, record: ConnectionPoolEntry | None = None) -> None:
        """Hand a place on, or back, and the connection that was used in it."""
        for line in self._lines:
            while line:
                turn = line.popleft()
                if not turn.done():
                    turn.set_result(record)
                    return
        self._taken -= 1
        if record is not None:
            self._put_back(record)


class WatchedPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool, which serves callers in their order, and knows who waits for it.

    SQLAlchemy's queue lets a newcomer overtake one who waits, and sends that one to the end of
    the line: under load some wait until they are refused, though connections come free all along.
    Here places are taken first, in order, and whoever has one finds a connection.

    A request that had a connection before goes first, since to finish it costs less than to begin
    another; and it waits `timeout` seconds in all, however many times it needs one.

    SQLAlchemy closes what is handed back beyond `pool_size`: under a load that needs one more now
    and then, it opens and closes connections all the time. Here a caller waits a moment for one
    that is open already, and a connection that is handed back goes to the one who waits.

    Attributes:
        waiting: callers that wait for a connection to be handed back.
        timeouts: callers so far that waited in vain.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.waiting = 0
        self.timeouts = 0
        most = self.size() + self._max_overflow
        self._places = _Places(self.size(), most, super()._do_return_conn)

    def _do_get(self) -> ConnectionPoolEntry:
        request = current_deadline()
        record = None if self._places.take() else await_only(self._wait(request))
        if request is not None:
            request.has_connected = True
        if record is not None:
            return record
        try:
            return super()._do_get()
        except BaseException:
            self._places.give()
            raise

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self._places.give(record)

    async def _wait(self, request: Deadline | None) -> ConnectionPoolEntry | None:
        waited = request.waited if request else 0.0
        if waited + PATIENCE >= self._timeout and self._places.take(patiently=False):
            return None
        is_first = request is not None and request.has_connected
        began = monotonic()
        self.waiting += 1
        try:
            async with asyncio.timeout(max(0.0, self._timeout - waited)):
                return await self._places.wait(is_first=is_first)
        except TimeoutError as error:
            self.timeouts += 1
            raise PoolTimeoutError(f"no connection came free within {self._timeout} s") from error
        finally:
            self.waiting -= 1
            if request is not None:
                request.waited += monotonic() - began


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

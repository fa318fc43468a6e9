"""The connection pool, and usage of the pool and the server."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import await_only

from app.core.middleware.deadline import Deadline, current_deadline
from app.core.telemetry import current_timing

# SQLAlchemy's logger for this class reports each disposal at INFO.
logging.getLogger(f"{__name__}.WatchedPool").setLevel(logging.WARNING)

OPENING_DELAY = 0.02
"""Seconds that a caller waits for one of the permanent connections before it opens another: opening
one takes about as long, and costs processor time here and at the server."""

_Turn = asyncio.Future[ConnectionPoolEntry | None]
_Line = deque[_Turn]


class _Slots:
    """Slots of the pool, one for each connection it may have; passed on in order of arrival.

    Args:
        permanent: slots that are taken at once.
        total: slots including those that are taken only after `OPENING_DELAY`.
        put_back: called with a connection that no caller waits for.
    """

    def __init__(
        self, permanent: int, total: int, put_back: Callable[[ConnectionPoolEntry], None]
    ) -> None:
        self._permanent = permanent
        self._total = total
        self._put_back = put_back
        self._taken = 0
        self._lines: tuple[_Line, _Line] = deque(), deque()

    def take(self, *, permanent: bool = True) -> bool:
        """Take a slot if one is free, in which case no caller waits.

        Args:
            permanent: only a permanent one.
        """
        if self._taken < (self._permanent if permanent else self._total):
            self._taken += 1
            return True
        return False

    async def wait(self, *, is_first: bool) -> ConnectionPoolEntry | None:
        """Wait for the next slot that is given back, or after `OPENING_DELAY` for any free one.

        Args:
            is_first: go before the callers without it.

        Returns:
            The connection that was used in the slot; None for a slot without one.
        """
        loop = asyncio.get_running_loop()
        turn: _Turn = loop.create_future()
        self._lines[not is_first].append(turn)
        patience = loop.call_later(OPENING_DELAY, self._take_for, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the slot was given at the moment of cancellation
                self.give(turn.result())
            raise
        finally:
            patience.cancel()

    def _take_for(self, turn: _Turn) -> None:
        if not turn.done() and self.take(permanent=False):
            turn.set_result(None)

    def give(self, record: ConnectionPoolEntry | None = None) -> None:
        """Pass a slot and its connection to the next caller, or free it."""
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
    """Connection pool that serves callers in order of arrival and counts those that wait.

    SQLAlchemy's queue lets a new caller overtake one that waits, and sends that one to the end of
    the queue: under load some wait until they time out, though connections become free all along.
    Here a caller first takes a slot, in order, and a slot guarantees a connection.

    A request that had a connection before goes first, since finishing it costs less than starting
    another; and it waits `timeout` seconds in all, however often it needs a connection.

    SQLAlchemy closes connections that are returned beyond `pool_size`: a load that needs one more
    now and then would open and close connections all the time. Here a caller waits `OPENING_DELAY`
    for an open one, and a returned connection goes to the caller that waits.

    Attributes:
        waiting: callers that wait for a connection.
        timeouts: callers so far whose wait timed out.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.waiting = 0
        self.timeouts = 0
        total = self.size() + self._max_overflow
        self._slots = _Slots(self.size(), total, super()._do_return_conn)

    def _do_get(self) -> ConnectionPoolEntry:
        request = current_deadline()
        record = None if self._slots.take() else await_only(self._wait(request))
        if request is not None:
            request.has_connected = True
        if record is not None:
            return record
        try:
            return super()._do_get()
        except BaseException:
            self._slots.give()
            raise

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self._slots.give(record)

    async def _wait(self, request: Deadline | None) -> ConnectionPoolEntry | None:
        waited = request.waited if request else 0.0
        if waited + OPENING_DELAY >= self._timeout and self._slots.take(permanent=False):
            return None
        is_first = request is not None and request.has_connected
        began = monotonic()
        self.waiting += 1
        try:
            async with asyncio.timeout(max(0.0, self._timeout - waited)):
                return await self._slots.wait(is_first=is_first)
        except TimeoutError as error:
            self.timeouts += 1
            raise PoolTimeoutError(f"no connection came free within {self._timeout} s") from error
        finally:
            self.waiting -= 1
            seconds = monotonic() - began
            if request is not None:
                request.waited += seconds
            if (timing := current_timing()) is not None:
                timing.waited("pool", seconds)


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """Usage of a process's pool at one moment, in connections.

    Attributes:
        pool_size: largest number of permanent connections.
        checked_in: open and idle.
        checked_out: in use, or being opened.
        overflow: beyond `pool_size`; 0 if there are none.
        waiting: callers that wait for one.
        timeouts: callers so far whose wait timed out.
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
    """Usage of an engine's pool, read without a connection.

    Raises:
        TypeError: `engine` was not made by `get_engine`.
    """
    pool = engine.pool
    if not isinstance(pool, WatchedPool):
        raise TypeError("the engine was not made by get_engine")
    return PoolUsage(
        pool_size=pool.size(),
        checked_in=pool.checkedin(),
        checked_out=pool.checkedout(),
        # SQLAlchemy counts it up from minus the pool's size.
        overflow=max(0, pool.overflow()),
        waiting=pool.waiting,
        timeouts=pool.timeouts,
    )


class ServerConnections(NamedTuple):
    """Connections to the server, of all clients, and its `max_connections`."""

    used: int
    maximum: int


async def server_connections(engine: AsyncEngine) -> ServerConnections:
    """Query the server for its connections.

    Raises:
        Exception: any error of the connection or the query.
    """
    async with engine.connect() as connection:
        row = await connection.execute(
            text(
                "SELECT (SELECT sum(numbackends) FROM pg_stat_database)::int, "
                "current_setting('max_connections')::int"
            )
        )
        used, maximum = row.one()
    return ServerConnections(used, maximum)

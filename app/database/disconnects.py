"""Connections that are of no more use: found out before a request does, and replaced.

No statement is ever sent twice, and no ping before each (ADR 10).
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

from app.database.errors import READ_ONLY, is_lost
from app.database.primary import ReadOnlyServerError, reports_read_only

DISPOSAL_INTERVAL = 1.0
"""Seconds between two disposals of the pool. While there is no primary each write fails, and must
not make all others connect anew each time."""


class Disconnects:
    """Replaces what the server closed, and after a failover every connection, of all the engines
    of a process: what one of them finds out is true of the others' connections as well.

    A server that was demoted may stay up, read-only: its connections are not closed, and reads on
    them succeed. PostgreSQL 14 and later reports the change with the answer to the next statement,
    at no cost; so each connection is looked at when it is handed back.
    """

    def __init__(self) -> None:
        # Idle connections, and whether the server of each reported to be read-only.
        self._idle: dict[ConnectionPoolEntry, bool] = {}
        self._next_look: asyncio.TimerHandle | None = None

    def watch(self, engine: AsyncEngine, *, is_direct: bool) -> None:
        """Begin to watch the connections of `engine`.

        Args:
            engine: not yet connected.
            is_direct: without a pooler, which repeats what a server reported long ago.
        """

        def checked_in(connection: Any, entry: ConnectionPoolEntry) -> None:
            if connection is None:  # invalidated
                return
            is_read_only = is_direct and reports_read_only(connection.driver_connection)
            self._idle[entry] = is_read_only
            if is_read_only:
                self._found_read_only()

        pool = engine.sync_engine
        event.listen(pool, "checkin", checked_in)
        event.listen(pool, "checkout", self._checked_out)
        event.listen(pool, "close", self._closed)
        event.listen(pool, "invalidate", self._invalidated)
        event.listen(pool, "handle_error", _Disposal(self._found_read_only))

    def _checked_out(self, connection: Any, entry: ConnectionPoolEntry, _proxy: object) -> None:
        """Have the pool connect anew where the server has closed this connection meanwhile.

        It costs no round trip: the event loop has seen the end of the stream. Nothing was sent
        yet, so this is as safe for a write as for a read.
        """
        self._idle.pop(entry, None)
        if connection.driver_connection.is_closed():
            raise DisconnectionError

    def _closed(self, _connection: object, entry: ConnectionPoolEntry) -> None:
        self._idle.pop(entry, None)

    def _invalidated(
        self, _connection: object, _entry: ConnectionPoolEntry, error: BaseException | None
    ) -> None:
        if isinstance(error, ReadOnlyServerError):
            self._found_read_only()

    def _found_read_only(self) -> None:
        """Close all idle connections, and look again in a while whether one opened since then is
        still read-only."""
        if self._next_look is not None:
            return
        loop = asyncio.get_running_loop()
        # Not at once: here, to close one would wait for the server's answer.
        loop.call_soon(self._close_idle)
        self._next_look = loop.call_later(DISPOSAL_INTERVAL, self._look)

    def _look(self) -> None:
        self._next_look = None
        if any(self._idle.values()):
            self._found_read_only()

    def _close_idle(self) -> None:
        for entry in list(self._idle):
            entry.invalidate()


class _Disposal:
    """After an error by which a connection is lost, the others are as old: none is used again."""

    def __init__(self, found_read_only: Callable[[], None]) -> None:
        self._found_read_only = found_read_only
        self._last = -DISPOSAL_INTERVAL

    def __call__(self, context: ExceptionContext) -> None:
        state = getattr(context.original_exception, "sqlstate", None)
        if context.connection is None or state is None or not is_lost(state):
            return
        context.is_disconnect = True
        now = monotonic()
        context.invalidate_pool_on_disconnect = now - self._last >= DISPOSAL_INTERVAL
        if context.invalidate_pool_on_disconnect:
            self._last = now
        if state == READ_ONLY:
            self._found_read_only()

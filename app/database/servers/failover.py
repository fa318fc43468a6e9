"""Lost connections and read-only servers: detection, and replacement of pooled connections.

No statement is ever sent twice, and none is preceded by a ping (ADR 10).
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

from app.core.exceptions import ServiceUnavailableException
from app.database.errors import READ_ONLY, is_lost

DISPOSAL_INTERVAL = 1.0
"""Seconds between two disposals of the pool. While there is no primary every write fails, and must
not make all other requests reconnect each time."""
ATTEMPTS = 2
"""The first connection may be a pooled one, to a server that was demoted; the next is new."""
# On in recovery, and by default_transaction_read_only: the two ways to set up a server that is no
# primary. The query writes nothing.
_IS_READ_ONLY = text("SELECT current_setting('transaction_read_only') = 'on'")


class ReadOnlyServerError(Exception):
    """The server is a standby, or was made read-only."""


def reports_read_only(connection: Any) -> bool:
    """Whether the server reported with its last message on this connection that it is read-only.

    Needs no round trip. PostgreSQL 14 and later report it.

    Args:
        connection: asyncpg's.
    """
    if connection.is_closed():
        return False
    settings = connection.get_settings()
    return "on" in (
        getattr(settings, "in_hot_standby", None),
        getattr(settings, "default_transaction_read_only", None),
    )


async def ping_primary(engine: AsyncEngine) -> None:
    """Check that the server answers and accepts writes.

    Raises:
        ServiceUnavailableException: it is read-only; the cause is a `ReadOnlyServerError`.
        Exception: any error of the connection or the query.
    """
    for _ in range(ATTEMPTS):
        async with engine.connect() as connection:
            if await _takes_writes(connection):
                return
    raise ServiceUnavailableException from ReadOnlyServerError()


async def begin_on_primary(connection: AsyncConnection) -> None:
    """Begin a transaction on a server that accepts writes.

    Args:
        connection: without a transaction.

    Raises:
        ServiceUnavailableException: there is none; the cause is a `ReadOnlyServerError`.
    """
    for _ in range(ATTEMPTS):
        if await _takes_writes(connection):
            return
        await connection.rollback()
    raise ServiceUnavailableException from ReadOnlyServerError()


async def _takes_writes(connection: AsyncConnection) -> bool:
    """Whether the server accepts writes; a connection to a read-only server is closed."""
    if not await connection.scalar(_IS_READ_ONLY):
        return True
    await connection.invalidate(ReadOnlyServerError())
    return False


class Disconnects:
    """Replaces connections that the server closed, and after a failover all connections.

    Shared by all engines of a process: what one connection reveals holds for every engine.

    A demoted server may stay up, read-only: its connections are not closed, and reads on them
    succeed. PostgreSQL 14 and later reports the change with the answer to the next statement, at no
    cost; so each connection is checked when it is returned to the pool.
    """

    def __init__(self) -> None:
        # Idle connections, and whether their server reported to be read-only.
        self._idle: dict[ConnectionPoolEntry, bool] = {}
        self._next_look: asyncio.TimerHandle | None = None

    def watch(self, engine: AsyncEngine, *, is_direct: bool) -> None:
        """Begin to watch the connections of `engine`.

        Args:
            engine: not yet connected.
            is_direct: without a pooler, whose reports may be outdated.
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
        """Make the pool reconnect if the server has closed this connection meanwhile.

        It costs no round trip: the event loop has seen the end of the stream. Nothing was sent
        yet, so this is safe for writes too.
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
        """Close all idle connections, and check later whether one opened since is read-only."""
        if self._next_look is not None:
            return
        loop = asyncio.get_running_loop()
        # Scheduled, since closing a connection here would wait for the server's answer.
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
    """Error handler: after an error that loses a connection, the pool's older connections are
    replaced too."""

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

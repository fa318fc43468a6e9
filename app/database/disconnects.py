"""Connections that are of no more use: found out before a request does, and replaced.

No statement is ever sent twice, and no ping before each (ADR 10).
"""

from time import monotonic
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database.errors import is_lost

DISPOSAL_INTERVAL = 1.0
"""Seconds between two disposals of the pool. While there is no primary each write fails, and must
not make all others connect anew each time."""


def watch_connections(engine: AsyncEngine) -> None:
    """Replace what the server closed, and after a failover all that the pool holds."""
    event.listen(engine.sync_engine, "checkout", _replace_if_closed)
    event.listen(engine.sync_engine, "handle_error", _Disposal())


def _replace_if_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Have the pool connect anew where the server has closed this connection meanwhile.

    It costs no round trip: the event loop has seen the end of the stream. Nothing was sent yet,
    so this is as safe for a write as for a read.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError


class _Disposal:
    """After an error by which a connection is lost, the others are as old: none is used again."""

    def __init__(self) -> None:
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

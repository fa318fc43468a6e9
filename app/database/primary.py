"""Whether a server takes writes."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.exceptions import ServiceUnavailableException

ATTEMPTS = 2
"""The first connection may be an old one, to a server that was demoted; the next is a new one."""
# On in recovery, and by default_transaction_read_only. Both are how a server that is no primary
# is set up, and to ask for it writes nothing.
_IS_READ_ONLY = text("SELECT current_setting('transaction_read_only') = 'on'")


class ReadOnlyServerError(Exception):
    """The server is a standby, or was made read-only."""


def reports_read_only(connection: Any) -> bool:
    """Whether the server reported so with its last answer on this connection: without a round
    trip, and only from PostgreSQL 14 on.

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
    """Ask the server for an answer, and whether it takes writes.

    Raises:
        ServiceUnavailableException: it takes none; the cause is a `ReadOnlyServerError`.
        Exception: whatever keeps it from answering.
    """
    for _ in range(ATTEMPTS):
        async with engine.connect() as connection:
            if await _takes_writes(connection):
                return
    raise ServiceUnavailableException from ReadOnlyServerError()


async def begin_on_primary(connection: AsyncConnection) -> None:
    """Begin a transaction on a server that takes writes.

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
    """Whether the server does; a connection to one that does not is closed."""
    if not await connection.scalar(_IS_READ_ONLY):
        return True
    await connection.invalidate(ReadOnlyServerError())
    return False

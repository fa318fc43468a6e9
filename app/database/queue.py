"""pgqueuer's queries on a SQLAlchemy connection."""

import asyncio
from typing import Self

from pgqueuer.core.tm import TaskManager
from pgqueuer.ports.driver import NotifyCallback
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.driver import SAME_COLUMNS


class ConnectionDriver:
    """pgqueuer's driver protocol on one connection, whose transaction it leaves to the caller.

    Everything that holds for the service's own statements holds for the queue's too: the error
    translation, the failover, the pooler's rules, the log of slow statements.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()  # pgqueuer sends some statements side by side
        self.shutdown = asyncio.Event()
        self.tm = TaskManager()

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        async with self._lock:
            return await fetch(self._connection, query, *args)

    async def execute(self, query: str, *args: object) -> str:
        await self.fetch(query, *args)
        return ""  # pgqueuer reads no status

    async def notify(self, channel: str, payload: str) -> None:
        """Sent to listeners when the transaction is committed."""
        await self.fetch("SELECT pg_notify($1, $2)::text", channel, payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        raise NotImplementedError("only the worker's driver listens")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """The connection is the caller's."""


async def fetch(connection: AsyncConnection, query: str, *args: object) -> list[dict[str, object]]:
    """Run one of pgqueuer's statements, whose columns no migration changes, in one round trip."""
    result = await connection.exec_driver_sql(SAME_COLUMNS + query, args)
    return [dict(row) for row in result.mappings()] if result.returns_rows else []

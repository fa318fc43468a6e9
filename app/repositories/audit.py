"""The audit trail: events that wait for the end of their transaction, and lists."""

from datetime import timedelta
from typing import Any

from pydantic_core import to_json
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.audit import AuditEvent
from app.repositories.base import BaseRepository
from app.repositories.list_queries import ListQueries

_WAITING = "audit_events"
_TYPES = {
    "created_at": "timestamptz",
    "action": "text",
    "outcome": "text",
    "actor": "text",
    "actor_name": "text",
    "impersonator_id": "bigint",
    "target": "text",
    "user_id": "bigint",
    "address": "text",
    "request_id": "text",
    "trace_id": "text",
    "count": "integer",
    "before": "jsonb",
    "after": "jsonb",
}
_COLUMNS = ", ".join(_TYPES)


def insert_events(parameter: str) -> str:
    """The statement that inserts any number of events, which are one parameter: a JSON array."""
    columns = ", ".join(f"{name} {kind}" for name, kind in _TYPES.items())
    values = _COLUMNS.replace("created_at", "COALESCE(created_at, now())")
    return (
        f"INSERT INTO audit_events ({_COLUMNS}) "  # noqa: S608  # of constants
        f"SELECT {values} FROM jsonb_to_recordset({parameter}::jsonb) AS event ({columns})"
    )


_INSERT = insert_events("$1")


class WaitingEvents:
    """Events of a session's transaction, which are inserted together at its end.

    Another statement of the transaction may take them along: see `JobQueue.enqueue`.
    """

    def __init__(self, db: AsyncSession) -> None:
        self.db = db

    def begin(self) -> None:
        self.db.info[_WAITING] = []

    def add(self, event: dict[str, Any]) -> None:
        """
        Raises:
            RuntimeError: outside `BaseService.transaction`, where the event would be lost.
        """
        waiting: list[dict[str, Any]] | None = self.db.info.get(_WAITING)
        if waiting is None:
            raise RuntimeError("an audit event is recorded within BaseService.transaction")
        waiting.append(event)

    def take(self) -> str | None:
        """The events as a JSON array for `insert_events`, which wait no longer; None if there are
        none."""
        waiting: list[dict[str, Any]] = self.db.info.get(_WAITING, [])
        if not waiting:
            return None
        taken = to_json(waiting).decode()
        waiting.clear()
        return taken

    async def insert(self) -> None:
        if (events := self.take()) is not None:
            connection = await self.db.connection()
            await connection.exec_driver_sql(_INSERT, (events,))

    def end(self) -> None:
        self.db.info.pop(_WAITING, None)


class AuditRepository(BaseRepository[AuditEvent]):
    """Lists of events, and the partitions that they are in."""

    model = AuditEvent
    lists = ListQueries(AuditEvent)
    owner = "user_id"

    async def make_partitions(self, months: int) -> int:
        """Make the missing partitions from this month on; the number of them.

        Args:
            months: after the current one.
        """
        return await self.db.scalar(select(func.audit_partitions_ahead(months))) or 0

    async def drop_partitions(self, keep: timedelta) -> list[str]:
        """Drop the partitions whose events are all older than `keep`; their names."""
        return list(await self.db.scalar(select(func.audit_partitions_drop(keep))) or ())

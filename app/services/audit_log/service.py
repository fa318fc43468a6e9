"""`AuditService`: lists of audit events, their export, and their retention."""

from collections.abc import AsyncGenerator, Collection
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.pagination import CursorPage, CursorParams
from app.core.security.signing import CursorSigner
from app.models.audit import AuditEvent
from app.repositories.audit import AuditRepository
from app.schemas.audit import (
    Action,
    AuditEventSchema,
    AuditFilters,
    OwnEventPage,
    OwnEventSchema,
    Target,
)
from app.schemas.list_params import ExportFormat
from app.services.export import ExportService
from app.services.resource import ResourceService

log = structlog.get_logger("app.audit")

MONTHS_AHEAD = 2
"""Months after the current one that have a partition."""
LATEST = 50
"""Events of a target in which its last changes are looked for."""


class AuditService(ResourceService):
    """The audit trail, which is read and never changed.

    Args:
        db: session of the request or job.
        cursors: signs the position where a page ended.
        exports: streams files.
    """

    def __init__(self, db: AsyncSession, cursors: CursorSigner, exports: ExportService) -> None:
        super().__init__(db, cursors, exports)
        self.events = AuditRepository(db)

    async def page(self, filters: AuditFilters, params: CursorParams) -> CursorPage[AuditEvent]:
        """A page of the events, the newest first.

        Raises:
            ValidationException: the cursor is not of a list with these filters.
        """
        return await self.page_by_cursor(self.events, filters, params)

    async def own_page(self, user_id: int, params: CursorParams) -> OwnEventPage:
        """A page of the events that concern a user's account, as the user may see them.

        Raises:
            ValidationException: the cursor is not of this list.
        """
        page = await self.page_by_cursor(self.events, AuditFilters(), params, user_id)
        items = [_own(event, user_id) for event in page.items]
        return OwnEventPage(items=items, next_cursor=page.next_cursor)

    async def last_changes(
        self, target: Target, fields: Collection[str]
    ) -> dict[str, AuditEventSchema]:
        """The newest event that changed each of the fields, where it is among the newest events of
        the target. From the primary: the change may be a moment old."""
        filters = AuditFilters(target=str(target))
        found, _ = await self.events.page_after(filters, LATEST, None)
        events = [AuditEventSchema.model_validate(event) for event in reversed(found)]
        return {field: e for e in events for field in fields if field in (e.after or {})}

    def export(
        self, filters: AuditFilters, file_format: ExportFormat, *, bom: bool = False
    ) -> AsyncGenerator[bytes]:
        """All events that the filters leave, as a file: see `ExportService.stream`."""
        return self.file(self.events, AuditEventSchema, filters, file_format, bom=bom)

    async def rotate(self, retention: float) -> None:
        """Make the partitions of the next months, and drop those whose events are all older than
        `retention` seconds."""
        async with self.transaction():
            created = await self.events.make_partitions(MONTHS_AHEAD)
        async with self.transaction():
            dropped = await self.events.drop_partitions(timedelta(seconds=retention))
            if dropped:
                self.audit.record(Action.AUDIT_EXPIRED, after={"partitions": dropped})
        log.info("audit_rotated", created=created, dropped=dropped)


def _own(event: AuditEvent, user_id: int) -> OwnEventSchema:
    """An event without what concerns another user: who acted, and from where."""
    is_own = event.actor == f"user:{user_id}" and event.impersonator_id is None
    is_by_another = not is_own and event.actor != "anonymous"
    own = OwnEventSchema.model_validate(event)
    address = None if is_by_another else event.address
    return own.model_copy(update={"is_own": is_own, "address": address})

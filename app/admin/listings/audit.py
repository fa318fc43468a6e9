"""`AuditListing`: query parameters of the table of audit events."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, ClassVar

from fastapi import Query
from pydantic import Field

from app.admin.listings.base import Sized
from app.admin.rendering import BASE
from app.core.pagination import CursorParams
from app.schemas.audit import Action, AuditFilters, Reference
from app.schemas.base import Day, RowId

AUDIT_PATH = f"{BASE}/audit"


class AuditListing(Sized):
    """Filters of the table, with whole days, and the cursor of its page."""

    path: ClassVar[str] = AUDIT_PATH

    actor: Reference | None = None
    target: Reference | None = None
    user_id: RowId | None = None
    action: Action | None = None
    first_day: Day | None = None
    last_day: Day | None = None
    cursor: str | None = Field(None, max_length=1024)

    @property
    def filters(self) -> AuditFilters:
        last = self.last_day
        return AuditFilters(
            actor=self.actor,
            target=self.target,
            user_id=self.user_id,
            action=self.action,
            created_from=_midnight(self.first_day),
            created_to=_midnight(last and min(last, _LAST_DAY) + timedelta(days=1)),
        )

    @property
    def params(self) -> CursorParams:
        return CursorParams(cursor=self.cursor, size=self.rows)

    def behind(self, cursor: str | None) -> "AuditListing":
        """The same table at the page behind a cursor; the first without one."""
        return self.model_copy(update={"cursor": cursor})

    def of(self, **filters: str) -> "AuditListing":
        """The table with these filters alone."""
        return AuditListing.model_validate(filters)


_LAST_DAY = date(9999, 12, 30)


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


AuditListingQuery = Annotated[AuditListing, Query()]

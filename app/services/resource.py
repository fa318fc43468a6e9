"""`ResourceService`: base of the services of resources that are listed and exported."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import ValidationException
from app.core.pagination import CursorPage, CursorParams
from app.core.permissions import Permission
from app.core.security.signing import CursorSigner
from app.database import Base, read_list
from app.repositories.base import BaseRepository
from app.schemas.access.session import Principal
from app.schemas.audit import Action, Facts
from app.schemas.base import ResponseSchema
from app.schemas.list_params import ExportFormat, ListParams
from app.services.audit.redaction import state_of, target_of
from app.services.base import BaseService
from app.services.export import EXPORT_BATCH, ExportService

Model = TypeVar("Model", bound=Base)


class ResourceService(BaseService):
    """A service with lists by cursor, exports, and audit events of its rows.

    Args:
        db: session of the request; only `transaction` may commit it.
        cursors: signs the position where a page ended.
        exports: streams files, on connections of its own.

    Attributes:
        references: the rows that a field refers to by their id, by the name of the field.
    """

    references: Mapping[str, BaseRepository[Any]] = {}

    def __init__(self, db: AsyncSession, cursors: CursorSigner, exports: ExportService) -> None:
        super().__init__(db)
        self.cursors = cursors
        self.exports = exports

    async def page_by_cursor(
        self,
        rows: BaseRepository[Model],
        filters: ListParams,
        params: CursorParams,
        owner_id: int | None = None,
    ) -> CursorPage[Model]:
        """The page behind a cursor, or the first.

        Raises:
            ValidationException: the cursor is not of a list with these filters and this order.
        """
        listing = f"{rows.model.__tablename__} {owner_id} {filters.model_dump_json()}"
        after = self.cursors.read(params.cursor, listing)
        items, end = await read_list(
            self.db, lambda db: type(rows)(db).page_after(filters, params.size, after, owner_id)
        )
        return CursorPage(items=items, next_cursor=end and self.cursors.sign(end, listing))

    def file(
        self,
        rows: BaseRepository[Model],
        schema: type[ResponseSchema],
        filters: ListParams,
        file_format: ExportFormat,
        *,
        bom: bool = False,
    ) -> AsyncGenerator[bytes, None]:
        """The whole list of all owners as a file: see `ExportService.stream`."""
        batches = rows.batches(filters, schema, self.exports.reads, EXPORT_BATCH)
        return self.exports.stream(
            rows.model.__tablename__, filters, batches, schema, file_format, bom=bom
        )

    async def check_references(
        self, values: Mapping[str, Any], owner_id: int | None = None
    ) -> None:
        """Check that the rows exist that `values` refer to, and belong to the owner.

        Args:
            values: of fields; those that are left out or None refer to no row.
            owner_id: of the rows; None for rows of any owner.

        Raises:
            ValidationException: it names the fields whose row does not exist, or is of another.
        """
        missing = [
            {"field": field, "message": "there is no such row", "code": "not_found"}
            for field, rows in self.references.items()
            if values.get(field) is not None and not await rows.exists(values[field], owner_id)
        ]
        if missing:
            raise ValidationException(details=missing)

    def record_created(self, rows: BaseRepository[Model], row: Model) -> None:
        """Record that a row was created, in the transaction of it; an owner sees it among their own
        events."""
        self._record(Action.RESOURCE_CREATED, rows, row, after=state_of(row))

    def record_updated(self, rows: BaseRepository[Model], row: Model, before: Facts) -> None:
        """Record which fields differ from `before`, what `state_of` was; nothing if none does."""
        if (after := state_of(row)) != before:
            self._record(Action.RESOURCE_UPDATED, rows, row, before=before, after=after)

    def record_deleted(self, rows: BaseRepository[Model], row: Model) -> None:
        """Record what is deleted in the transaction."""
        self._record(Action.RESOURCE_DELETED, rows, row, before=state_of(row))

    def _record(
        self,
        action: Action,
        rows: BaseRepository[Model],
        row: Model,
        *,
        before: Facts | None = None,
        after: Facts | None = None,
    ) -> None:
        owner_id = getattr(row, rows.owner) if rows.owner else None
        self.audit.record(action, target_of(row), user_id=owner_id, before=before, after=after)


def owner_of(caller: Principal, permission: Permission) -> int | None:
    """The user whose rows a caller may reach: the caller; None, any user, with the permission."""
    return None if caller.may(permission) else caller.user_id

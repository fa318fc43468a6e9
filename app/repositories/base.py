"""What every repository has: a session, and errors that are facts."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Generic, TypeVar, cast

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    CursorResult,
    UpdateBase,
    any_,
    delete,
    func,
    literal_column,
    select,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import ConflictException, NotFoundException
from app.database import Base, translate, violated_constraint

Model = TypeVar("Model", bound=Base)


class BaseRepository(Generic[Model]):
    """Builds and runs queries on `model`; flushes, never commits.

    Attributes:
        model: the ORM class.
        unique: by name of a unique constraint or index, the field it is about.
    """

    model: ClassVar[type[Base]]
    unique: ClassVar[Mapping[str, str]] = {}

    def __init__(self, db: AsyncSession) -> None:
        self.db = db

    async def add(self, row: Model) -> Model:
        """Insert `row`; where that fails, only it is undone and the transaction goes on.

        Raises:
            ConflictException: something about it is taken already; the detail says what.
        """
        async with self._conflicts(), self.db.begin_nested():
            self.db.add(row)
            await self.db.flush()
        return row

    async def flush(self) -> None:
        """Write what was changed.

        Raises:
            ConflictException: a change collides with another row; the detail says where.
        """
        async with self._conflicts():
            await self.db.flush()

    async def changed(self, statement: UpdateBase) -> int:
        """Run an UPDATE or DELETE past the objects of the session; how many rows it met."""
        options = {"synchronize_session": False}
        result = await self.db.execute(statement, execution_options=options)
        return cast("CursorResult[Any]", result).rowcount

    async def delete_some(self, *which: ColumnElement[bool], limit: int) -> int:
        """Delete at most `limit` rows, past those that others have locked; how many."""
        place: ColumnClause[Any] = literal_column(f"{self.model.__tablename__}.ctid")
        some = select(place).select_from(self.model).where(*which).limit(limit)
        # As an array, by which rows are fetched directly, in whatever plan: no join with the table.
        places = func.array(
            some.with_for_update(skip_locked=True).correlate(None).scalar_subquery()
        )
        return await self.changed(delete(self.model).where(place == any_(places)))

    @asynccontextmanager
    async def _conflicts(self) -> AsyncIterator[None]:
        try:
            yield
        except IntegrityError as error:
            field = self.unique.get(violated_constraint(error) or "")
            if field is None:
                raise translate(error) from error
            detail = {"field": field, "message": "already taken"}
            raise ConflictException(details=[detail]) from error

    def _not_found(self) -> NotFoundException:
        return NotFoundException(f"{self.model.__name__} not found")

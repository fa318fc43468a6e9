"""Base of repositories: a session, pages, and conflicts by constraint name."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Generic, TypeVar, cast

from fastapi_pagination.ext.sqlalchemy import apaginate
from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    CursorResult,
    Select,
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
from app.core.pagination import Page, PageParams
from app.database import Base, translate, violated_constraint

Model = TypeVar("Model", bound=Base)


class BaseRepository(Generic[Model]):
    """Builds and runs queries on `model`; flushes, never commits.

    Attributes:
        model: the ORM class.
        unique: the field of each unique constraint or index, by its name.
    """

    model: ClassVar[type[Base]]
    unique: ClassVar[Mapping[str, str]] = {}

    def __init__(self, db: AsyncSession) -> None:
        self.db = db

    async def add(self, row: Model) -> Model:
        """Insert `row`; where that fails, only it is undone and the transaction goes on.

        Raises:
            ConflictException: a unique value is taken already; the detail names the field.
        """
        async with self._conflicts(), self.db.begin_nested():
            self.db.add(row)
            await self.db.flush()
        return row

    async def flush(self) -> None:
        """Write the changes of the session.

        Raises:
            ConflictException: a unique value is taken already; the detail names the field.
        """
        async with self._conflicts():
            await self.db.flush()

    async def paginate(self, query: Select[Model], params: PageParams) -> Page[Model]:
        """A page of `query`, which has to have a total order, and the count of all its rows."""
        page: Page[Model] = await apaginate(self.db, query, params)
        return page

    async def changed(self, statement: UpdateBase) -> int:
        """Run an UPDATE or DELETE past the objects of the session; the number of rows."""
        options = {"synchronize_session": False}
        result = await self.db.execute(statement, execution_options=options)
        return cast("CursorResult[Any]", result).rowcount

    async def delete_some(self, *which: ColumnElement[bool], limit: int) -> int:
        """Delete at most `limit` rows that no other transaction has locked; the number of rows."""
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

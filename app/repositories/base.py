"""Base of repositories: single rows, lists, ownership, and conflicts by constraint name."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, ClassVar, Generic, TypeVar, cast
from uuid import UUID

from fastapi_pagination.ext.sqlalchemy import apaginate
from pydantic import TypeAdapter
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
from app.core.security.signing import Position
from app.database import Base, Reads, translate, violated_constraint
from app.repositories.list_queries import ListQueries, position_of
from app.schemas.base import ResponseSchema
from app.schemas.list_params import ListParams

Model = TypeVar("Model", bound=Base)
Schema = TypeVar("Schema", bound=ResponseSchema)


class BaseRepository(Generic[Model]):
    """Builds and runs queries on `model`; flushes, never commits.

    Attributes:
        model: the ORM class.
        unique: the field of each unique constraint or index, by its name.
        lists: builds the statements of lists; only where there are lists.
        owner: the column with the id of the user to whom a row belongs. Where it is set, methods
            that take an `owner_id` see the rows of that user alone, or with None all rows.
    """

    model: ClassVar[type[Base]]
    unique: ClassVar[Mapping[str, str]] = {}
    lists: ClassVar[ListQueries[Any]]
    owner: ClassVar[str | None] = None

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

    async def get_or_raise(
        self, row_id: int, owner_id: int | None = None, *, lock: bool = False
    ) -> Model:
        """The row with this id, locked until the transaction ends where `lock` is set.

        Raises:
            NotFoundException: there is none, or it belongs to another user.
        """
        row = await self.get(row_id, owner_id, lock=lock)
        if row is None:
            raise NotFoundException(f"{self.model.__name__} not found")
        return row

    async def get(
        self, row_id: int | UUID, owner_id: int | None = None, *, lock: bool = False
    ) -> Model | None:
        """The same; None where there is none, or it belongs to another user."""
        query = self._by_id(row_id, owner_id)
        if lock:
            query = query.with_for_update().execution_options(populate_existing=True)
        row: Model | None = await self.db.scalar(query)
        return row

    async def exists(self, row_id: int, owner_id: int | None = None) -> bool:
        """Whether there is a row with this id, and it belongs to the owner."""
        return bool(await self.db.scalar(select(self._by_id(row_id, owner_id).exists())))

    async def delete(self, row: Model) -> None:
        """Delete the row.

        Raises:
            ConflictException: another row refers to it.
        """
        await self.db.delete(row)
        await self.flush()

    async def page(
        self, filters: ListParams, params: PageParams, owner_id: int | None = None
    ) -> Page[Model]:
        """A page of the list by its number."""
        return await self.paginate(self._listed(filters, owner_id), params)

    async def page_after(
        self, filters: ListParams, size: int, after: Position | None, owner_id: int | None = None
    ) -> tuple[list[Model], Position | None]:
        """The page behind a position, at the same cost however deep it is, and the position of its
        last row; None where the list ends with it."""
        listed, values = filters if after is None else self.lists.behind(filters), {}
        query = self._listed(listed, owner_id).limit(size + 1)
        if after is not None:
            query = self.lists.after(query, filters, is_null=after.value is None)
            values = self.lists.values(filters, after)
        rows = list((await self.db.scalars(query, values)).all())
        page = rows[:size]
        return page, position_of(page[-1], filters.sort_by) if len(rows) > size else None

    async def batches(
        self,
        filters: ListParams,
        schema: type[Schema],
        reads: Reads,
        size: int,
    ) -> AsyncGenerator[list[Schema]]:
        """The list of all owners, `size` rows at a time: see `Reads.batches`."""
        names = tuple(schema.model_fields)
        columns = [getattr(self._model, name) for name in names]
        query = self.lists.select(filters).with_only_columns(*columns)
        validate = TypeAdapter(list[schema]).validate_python  # type: ignore[valid-type]
        async with aclosing(reads.batches(query, size)) as batches:
            async for rows in batches:
                yield validate([dict(zip(names, row, strict=True)) for row in rows])

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

    @property
    def _model(self) -> Any:
        return self.model

    def _by_id(self, row_id: int | UUID, owner_id: int | None) -> Select[Any]:
        return self._owned(select(self._model).where(self._model.id == row_id), owner_id)

    def _listed(self, filters: ListParams, owner_id: int | None) -> Select[Model]:
        return self._owned(self.lists.select(filters), owner_id)

    def _owned(self, query: Select[Any], owner_id: int | None) -> Select[Any]:
        if self.owner is None or owner_id is None:
            return query
        return query.where(getattr(self._model, self.owner) == owner_id)

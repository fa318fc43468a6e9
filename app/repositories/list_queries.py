"""`ListQueries`: statements of a list from its `ListParams`: filters, search, order, cursors."""

from collections.abc import Callable, Mapping
from functools import cache
from operator import eq, ge, gt, le, lt
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Select,
    SQLColumnExpression,
    UnaryExpression,
    and_,
    bindparam,
    null,
    or_,
    select,
    tuple_,
)

from app.core.security.signing import Position
from app.database import Base
from app.schemas.list_params import Filter, ListParams, filters_of, is_within

Model = TypeVar("Model", bound=Base)
Params = TypeVar("Params", bound=ListParams)
SortKey = Callable[[Any], ColumnElement[Any]]


class ListQueries(Generic[Model]):
    """Builds the statements of lists of one model. The order is total: ties are broken by the id.

    Args:
        model: the ORM class; it has an `id`.
        searched: the text in which `search` is looked for; None: the list has no search.
        sort_keys: for a column that is sorted by an expression of it: that expression.
    """

    def __init__(
        self,
        model: type[Model],
        searched: SQLColumnExpression[str] | None = None,
        sort_keys: Mapping[str, SortKey] | None = None,
    ) -> None:
        self._model: Any = model
        self._searched = searched
        self._sort_keys = sort_keys or {}

    def select(self, params: ListParams) -> Select[Model]:
        """All rows of the list in its order."""
        query = select(self._model).order_by(*self.order(self._model, params))
        query = query.where(*(self._condition(*part) for part in params.conditions()))
        search: str | None = getattr(params, "search", None)
        return query.where(self.matches(search)) if search and self.has_search else query

    @property
    def has_search(self) -> bool:
        return self._searched is not None

    def matches(self, search: str) -> ColumnElement[bool]:
        """Whether a row has `search` in its searched text."""
        assert self._searched is not None  # noqa: S101  # `has_search`
        return self._searched.icontains(search, autoescape=True)

    def key(self, params: ListParams) -> ColumnElement[Any]:
        """What rows are sorted by, without the id that breaks ties."""
        key: ColumnElement[Any] = self._key(self._model, params.sort_by)
        return key

    def order(self, rows: Any, params: ListParams) -> list[UnaryExpression[Any]]:
        """The order of `rows`: of the model, or of a subquery's columns. Nulls come last."""
        is_descending = params.sort_order == "desc"
        ties = () if params.sort_by == "id" else (rows.id,)
        key = self._key(rows, params.sort_by), *ties
        order = [part.desc() if is_descending else part.asc() for part in key]
        if self._column(params.sort_by).nullable:
            order[0] = order[0].nulls_last()
        return order

    def after(
        self, query: Select[Model], params: ListParams, *, is_null: bool = False
    ) -> Select[Model]:
        """`query` from behind a position on; it takes the parameters of `values`.

        Args:
            query: the list.
            params: of the list.
            is_null: whether the position's value is null.
        """
        column = self._column(params.sort_by)
        key, row_id = self._key(self._model, params.sort_by), self._model.id
        value = self._key_of(params.sort_by, bindparam("value", type_=column.type))
        last = bindparam("id", type_=row_id.type)
        is_descending = params.sort_order == "desc"
        if params.sort_by == "id":
            return query.where(row_id < last if is_descending else row_id > last)
        if is_null:
            is_behind = row_id < last if is_descending else row_id > last
            return query.where(and_(column.is_(null()), is_behind))
        here, there = tuple_(key, row_id), tuple_(value, last)
        behind = here < there if is_descending else here > there
        return query.where(or_(behind, column.is_(null())) if column.nullable else behind)

    def behind(self, params: Params) -> Params:
        """The filters of a page behind a position, without the bounds that the position implies.

        With both, PostgreSQL would begin at the bound, and pass over all entries of the index
        between it and the position.
        """
        if self._column(params.sort_by).nullable:  # nulls come last: the bound leaves them out
            return params
        implied = (lt, le) if params.sort_order == "desc" else (gt, ge, is_within)
        bounds = [
            name
            for name, condition in filters_of(type(params)).items()
            if condition.column == params.sort_by and condition.compare in implied
        ]
        return params.model_copy(update=dict.fromkeys(bounds))

    def values(self, params: ListParams, position: Position) -> dict[str, Any]:
        """The parameters of `after`."""
        values: dict[str, Any] = {"id": position.id}
        if position.value is not None and params.sort_by != "id":
            kind = self._column(params.sort_by).type.python_type
            values["value"] = _adapter(kind).validate_python(position.value)
        return values

    def _condition(self, condition: Filter, value: Any) -> ColumnElement[bool]:
        column: ColumnElement[Any] = getattr(self._model, condition.column)
        if isinstance(value, bool) and condition.compare is eq:
            return column if value else ~column  # no parameter, so that partial indexes fit
        if isinstance(value, tuple) and condition.compare is eq:
            return column.in_(value)
        matches: ColumnElement[bool] = condition.compare(column, value)
        return matches

    def _column(self, name: str) -> Any:
        return self._model.__table__.c[name]

    def _key(self, rows: Any, name: str) -> Any:
        return self._key_of(name, getattr(rows, name))

    def _key_of(self, name: str, value: Any) -> Any:
        key = self._sort_keys.get(name)
        return value if key is None else key(value)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Building one takes longer than a query."""
    return TypeAdapter(kind)


def position_of(row: Any, sort_by: str) -> Position:
    """The position of a row, a model or a schema, in a list that is sorted by a column."""
    value = getattr(row, sort_by)
    as_json = _adapter(value.__class__).dump_python(value, mode="json")
    return Position(None if value is None else str(as_json), row.id)

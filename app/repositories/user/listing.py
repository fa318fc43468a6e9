"""Lists of users: the statements, and the repository that runs them.

Each statement is built once. To build one, and to find that it has been compiled before, takes
SQLAlchemy longer than to run it. A list with the same filters and order gets the same statement
again, which holds its compiled form; what differs from page to page is a parameter of it. A first
page has no parameters, but for the search: PostgreSQL plans a statement without parameters once for
each connection (behind a pooler, each time), and planning, too, takes longer than running it.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Row,
    Select,
    SQLColumnExpression,
    String,
    UnaryExpression,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.orm import InstrumentedAttribute

from app.core.signing import Position
from app.database import PlanEstimate, Reads, estimate
from app.models import NAMES, User
from app.models.user import username_key_of
from app.schemas.user import UserSchema
from app.schemas.user_list import UserFilters

KEPT = 512
"""Cached statements of each kind. There are 54 lists without a search, and a first page of each for
any size that is requested; with a search there are any number."""
_FIELDS = tuple(UserSchema.model_fields)
_COLUMNS: tuple[InstrumentedAttribute[Any], ...] = tuple(getattr(User, name) for name in _FIELDS)
_USERS = TypeAdapter(list[UserSchema])
_LIMIT, _OFFSET = bindparam("limit", type_=Integer), bindparam("offset", type_=Integer)
_TEXT = bindparam("value", type_=String)
_VALUES: Mapping[str, tuple[ColumnElement[Any], Callable[[str], Any]]] = {
    "created_at": (bindparam("value", type_=DateTime(timezone=True)), datetime.fromisoformat),
    "username": (username_key_of(_TEXT), str),
    "email": (_TEXT, str),
}
"""By order: the value of a position, and how to parse it from the position's text."""


class Slice(NamedTuple):
    """A part of a list: at most `limit` users, after `offset` users or after a position."""

    limit: int
    offset: int = 0
    after: Position | None = None


class UserListRepository:
    """Pages, counts and batches of users.

    Args:
        reads: runs the statements; each sees the database at a moment of its own.
    """

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def page(self, filters: UserFilters, part: Slice) -> list[UserSchema]:
        """The users of a part of the list."""
        statement = select_page(_sliced(filters, part))
        return _users(await self._reads.rows(statement, _parameters(filters, part)))

    async def page_and_count(
        self, filters: UserFilters, part: Slice, up_to: int
    ) -> tuple[list[UserSchema], int]:
        """The same, and the length of the whole list, not counting beyond `up_to`: in one
        statement, which costs a round trip and the work around it only once."""
        statement = select_page_and_count(_sliced(filters, part), up_to)
        return await self._counted(statement, filters, part, up_to)

    async def sorted_page_and_count(
        self, filters: UserFilters, part: Slice, up_to: int
    ) -> tuple[list[UserSchema], int]:
        """The same by another plan: find all users first, which are expected to be few, then sort.

        Where the count is `up_to`, there are more users, and those returned are not the first.
        """
        query = _sliced(filters, part)
        found = select_sorted_page_and_count(query, filters.sort_by, filters.sort_order, up_to)
        return await self._counted(found, filters, part, up_to)

    async def _counted(
        self, statement: Select[Any], filters: UserFilters, part: Slice, up_to: int
    ) -> tuple[list[UserSchema], int]:
        rows = await self._reads.rows(statement, _parameters(filters, part))
        if not rows:  # and so none that carries the count
            return [], await self.count(filters, up_to) if part.offset else 0
        return _users(rows), rows[0][-1]

    async def count(self, filters: UserFilters, up_to: int | None = None) -> int:
        """The length of a list, not counting beyond `up_to`."""
        ((count,),) = await self._reads.rows(select_count(_query(filters), up_to))
        return int(count)

    async def estimate(self, filters: UserFilters) -> PlanEstimate:
        """The planner's estimate for finding all users of a list."""
        ids = _query(filters).with_only_columns(User.id).order_by(None)
        return await estimate(self._reads, ids)

    async def batches(self, filters: UserFilters, size: int) -> AsyncGenerator[list[UserSchema]]:
        """A whole list, `size` users at a time: see `Reads.batches`."""
        async with aclosing(self._reads.batches(select_page(_query(filters)), size)) as batches:
            async for rows in batches:
                yield _users(rows)


def position_of(user: UserSchema, sort_by: str) -> Position:
    """A user's position in an order."""
    value = getattr(user, sort_by)
    return Position(value if isinstance(value, str) else value.isoformat(), user.id)


def _query(filters: UserFilters) -> Select[User]:
    return select_users(**filters.model_dump())


def _sliced(filters: UserFilters, part: Slice) -> Select[User]:
    return sliced(_query(filters), filters.sort_by, filters.sort_order, part)


def _parameters(filters: UserFilters, part: Slice) -> dict[str, Any]:
    values: dict[str, Any] = {"limit": part.limit, "offset": part.offset}
    if part.after is not None:
        _, parse = _VALUES[filters.sort_by]
        values |= {"value": parse(part.after.value), "id": part.after.id}
    return values


def _users(rows: Sequence[Row[Any]]) -> list[UserSchema]:
    """Validated as dicts: to read the attributes of each row takes three times as long."""
    return _USERS.validate_python([dict(zip(_FIELDS, row, strict=False)) for row in rows])


@lru_cache(KEPT)
def select_users(
    *,
    is_active: bool | None,
    is_superuser: bool | None,
    search: str | None,
    sort_by: str,
    sort_order: str,
) -> Select[User]:
    """See `UserRepository.get_filtered_users`."""
    query = select(User).order_by(*_order(User, sort_by, sort_order))
    for column, wanted in ((User.is_active, is_active), (User.is_superuser, is_superuser)):
        if wanted is not None:
            query = query.where(column if wanted else ~column)
    if search:
        query = query.where(NAMES.icontains(search, autoescape=True))
    return query


def _order(users: Any, sort_by: str, sort_order: str) -> list[UnaryExpression[Any]]:
    """Of `users`, or of a subquery's columns."""
    key = _value(users, sort_by), users.id
    return [part.desc() if sort_order == "desc" else part.asc() for part in key]


def _value(users: Any, sort_by: str) -> SQLColumnExpression[Any]:
    """The first part of an order; the id is the second."""
    column: SQLColumnExpression[Any] = getattr(users, sort_by)
    return username_key_of(column) if sort_by == "username" else column


def sliced(query: Select[User], sort_by: str, sort_order: str, part: Slice) -> Select[User]:
    """`query` with the limit of a part; it takes the part's parameters."""
    if part.after is not None:
        return _after(query, sort_by, sort_order)
    return _further(query) if part.offset else _first(query, part.limit)


@lru_cache(KEPT)
def _first(query: Select[User], limit: int) -> Select[User]:
    return query.limit(_number(limit))


@lru_cache(KEPT)
def _further(query: Select[User]) -> Select[User]:
    return query.limit(_LIMIT).offset(_OFFSET)


@lru_cache(KEPT)
def _after(query: Select[User], sort_by: str, sort_order: str) -> Select[User]:
    value, _ = _VALUES[sort_by]
    here = tuple_(_value(User, sort_by), User.id)
    last = tuple_(value, bindparam("id", type_=BigInteger))
    return query.where(here < last if sort_order == "desc" else here > last).limit(_LIMIT)


@lru_cache(KEPT)
def select_page(query: Select[User]) -> Select[Any]:
    """The fields of `UserSchema`."""
    return query.with_only_columns(*_COLUMNS)


@lru_cache(KEPT)
def select_page_and_count(query: Select[User], up_to: int) -> Select[Any]:
    """The same, each row with the length of the list, not counting beyond `up_to`."""
    return select_page(query).add_columns(select_count(query, up_to).scalar_subquery())


@lru_cache(KEPT)
def select_sorted_page_and_count(
    query: Select[User], sort_by: str, sort_order: str, up_to: int
) -> Select[Any]:
    """The same among any `up_to` rows, all of which are found before they are sorted. Otherwise
    PostgreSQL may go through the users in order, where it expects to find enough of them soon; it
    reads the whole table where they are fewer, or all at its end.
    """
    found = _unordered(query, up_to).with_only_columns(*_COLUMNS).cte("found")
    count = select(func.count()).select_from(found).scalar_subquery()
    ordered = select(found, count).order_by(*_order(found.c, sort_by, sort_order))
    return ordered.limit(_LIMIT).offset(_OFFSET)


@lru_cache(KEPT)
def select_count(query: Select[User], up_to: int | None = None) -> Select[int]:
    """The rows of `query`, whatever its limit and offset, not counting beyond `up_to`. No column is
    selected, so that an index alone may answer."""
    one = _unordered(query, up_to).with_only_columns(_number(1)).select_from(User)
    return select(func.count()).select_from(one.subquery())


def _unordered(query: Select[User], up_to: int | None) -> Select[User]:
    limit = None if up_to is None else _number(up_to)
    return query.order_by(None).offset(None).limit(limit)


def _number(value: int) -> ColumnElement[int]:
    """A literal in the statement, not a parameter."""
    return literal_column(str(value), Integer)

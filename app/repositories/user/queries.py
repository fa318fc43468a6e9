"""What lists of users ask the database: each question is put together once.

To put a statement together, and to find that it has been compiled before, takes SQLAlchemy longer
than to run it. Here a list with the same filters and order gets the same statement again, which
remembers what it was compiled to; what differs from page to page is a parameter of it. A first page
has none, but for what is searched for: PostgreSQL plans what has no parameters once for each
connection (behind a pooler, each time), and to plan it takes longer, too, than to run it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
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
from app.models import NAMES, User
from app.models.user import username_key_of

PROFILE: tuple[InstrumentedAttribute[Any], ...] = (
    *(User.id, User.email, User.username, User.full_name),
    *(User.is_active, User.is_superuser, User.created_at, User.updated_at),
)
"""What others may see of a user. As columns: to make objects of rows takes twice as long."""
KEPT = 512
"""Statements of each kind that are kept. There are 54 lists without a search, and a first page of
each for any size that is asked for; with a search there are any number."""
_LIMIT, _OFFSET = bindparam("limit", type_=Integer), bindparam("offset", type_=Integer)
_TEXT = bindparam("value", type_=String)
_VALUES: Mapping[str, tuple[ColumnElement[Any], Callable[[str], Any]]] = {
    "created_at": (bindparam("value", type_=DateTime(timezone=True)), datetime.fromisoformat),
    "username": (username_key_of(_TEXT), str),
    "email": (_TEXT, str),
}
"""A position's value in an order, and how to get it from the position's text."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which rows of a list, from an offset or behind a position, in the order that the list's query
    has: by `sort_by` and `sort_order`."""

    sort_by: str
    sort_order: str
    limit: int
    offset: int = 0
    behind: Position | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """Of the statements below."""
        values: dict[str, Any] = {"limit": self.limit, "offset": self.offset}
        if self.behind is not None:
            _, parse = _VALUES[self.sort_by]
            values |= {"value": parse(self.behind.value), "id": self.behind.id}
        return values


@lru_cache(KEPT)
def filtered(
    is_active: bool | None,  # noqa: FBT001  # as in `get_filtered_users`
    is_superuser: bool | None,  # noqa: FBT001  # the same
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
    """What comes first in an order; the id comes second."""
    column: SQLColumnExpression[Any] = getattr(users, sort_by)
    return username_key_of(column) if sort_by == "username" else column


def cut(query: Select[User], part: Part) -> Select[User]:
    """That part of `query`. What is made of it takes the part's parameters."""
    if part.behind is not None:
        return _behind(query, part.sort_by, part.sort_order)
    return _further(query) if part.offset else _first(query, part.limit)


@lru_cache(KEPT)
def _first(query: Select[User], limit: int) -> Select[User]:
    return query.limit(_number(limit))


@lru_cache(KEPT)
def _further(query: Select[User]) -> Select[User]:
    return query.limit(_LIMIT).offset(_OFFSET)


@lru_cache(KEPT)
def _behind(query: Select[User], sort_by: str, sort_order: str) -> Select[User]:
    value, _ = _VALUES[sort_by]
    here, last = (
        tuple_(_value(User, sort_by), User.id),
        tuple_(value, bindparam("id", type_=BigInteger)),
    )
    return query.where(here < last if sort_order == "desc" else here > last).limit(_LIMIT)


@lru_cache(KEPT)
def page(query: Select[User]) -> Select[Any]:
    """Its rows, of what others may see."""
    return query.with_only_columns(*PROFILE)


@lru_cache(KEPT)
def page_and_count(query: Select[User], up_to: int) -> Select[Any]:
    """The same, each row with how many there are in all, not counting beyond `up_to`."""
    return page(query).add_columns(counted(query, up_to).scalar_subquery())


@lru_cache(KEPT)
def collected_page_and_count(
    query: Select[User], sort_by: str, sort_order: str, up_to: int
) -> Select[Any]:
    """The same, of the first `up_to` rows that come to hand: all of them are looked up before they
    are put in order. Otherwise PostgreSQL may go through the users in that order, where it expects
    to meet enough of them soon; it reads the whole table where they are fewer, or all at its end.
    """
    found = _rows(query, up_to).with_only_columns(*PROFILE).cte("found")
    count = select(func.count()).select_from(found).scalar_subquery()
    ordered = select(found, count).order_by(*_order(found.c, sort_by, sort_order))
    return ordered.limit(_LIMIT).offset(_OFFSET)


@lru_cache(KEPT)
def counted(query: Select[User], up_to: int | None = None) -> Select[int]:
    """How many rows `query` has, whatever its limit and offset, and not more than `up_to`, where it
    stops.

    No column is asked for, so that an index alone may tell.
    """
    one = _rows(query, up_to).with_only_columns(_number(1)).select_from(User)
    return select(func.count()).select_from(one.subquery())


def _rows(query: Select[User], up_to: int | None) -> Select[User]:
    """In no order, from the first that comes to hand."""
    limit = None if up_to is None else _number(up_to)
    return query.order_by(None).offset(None).limit(limit)


def _number(value: int) -> ColumnElement[int]:
    """Written into the statement, so that it is no parameter."""
    return literal_column(str(value), Integer)

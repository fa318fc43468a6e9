"""What lists of users ask the database: each question is put together once.

To put a statement together, and to find that it has been compiled before, takes SQLAlchemy longer
than to run it. Here a list with the same filters and order gets the same statement again, which
remembers what it was compiled to; what differs from page to page is a parameter of it.
"""

from collections.abc import Callable
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

from app.core.cursor import Position
from app.models import NAMES, User

PROFILE: tuple[InstrumentedAttribute[Any], ...] = (
    *(User.id, User.email, User.username, User.full_name),
    *(User.is_active, User.is_superuser, User.created_at, User.updated_at),
)
"""What others may see of a user. As columns: to make objects of rows takes twice as long."""
KEPT = 256
"""Lists whose statements are kept. There are 54 without a search, and any number with one."""
LIMIT, OFFSET = bindparam("limit", type_=Integer), bindparam("offset", type_=Integer)
_TEXT = bindparam("value", type_=String)
_ORDERS: dict[str, tuple[SQLColumnExpression[Any], ColumnElement[Any], Callable[[str], Any]]] = {
    "created_at": (
        User.created_at,
        bindparam("value", type_=DateTime(timezone=True)),
        datetime.fromisoformat,
    ),
    "username": (func.lower(User.username), func.lower(_TEXT), str),
    "email": (User.email, _TEXT, str),
}
"""What comes first in an order (the id comes second), a position's value there, and how to get it
from the position's text."""


@lru_cache(KEPT)
def filtered(
    is_active: bool | None,  # noqa: FBT001  # as in `get_filtered_users`
    is_superuser: bool | None,  # noqa: FBT001  # the same
    search: str | None,
    sort_by: str,
    sort_order: str,
) -> Select[User]:
    """See `UserRepository.get_filtered_users`."""
    key = _ORDERS[sort_by][0], User.id
    query = select(User).order_by(*(_directed(part, sort_order) for part in key))
    for column, wanted in ((User.is_active, is_active), (User.is_superuser, is_superuser)):
        if wanted is not None:
            query = query.where(column if wanted else ~column)
    if search:
        query = query.where(NAMES.icontains(search, autoescape=True))
    return query


def _directed(part: SQLColumnExpression[Any], sort_order: str) -> UnaryExpression[Any]:
    return part.desc() if sort_order == "desc" else part.asc()


@lru_cache(KEPT)
def page(query: Select[User]) -> Select[Any]:
    """Its rows, of what others may see; parameters: `limit` and `offset`."""
    return query.with_only_columns(*PROFILE).limit(LIMIT).offset(OFFSET)


@lru_cache(KEPT)
def page_and_count(query: Select[User], up_to: int) -> Select[Any]:
    """The same, each row with how many there are in all, not counting beyond `up_to`."""
    return page(query).add_columns(counted(query, up_to).scalar_subquery())


@lru_cache(KEPT)
def page_behind(query: Select[User], sort_by: str, sort_order: str) -> Select[Any]:
    """What `query` has behind a position, in the order that it has already; parameters: `limit`,
    and those of `parameters_of`."""
    column, value, _ = _ORDERS[sort_by]
    here, last = tuple_(column, User.id), tuple_(value, bindparam("id", type_=BigInteger))
    is_behind = here < last if sort_order == "desc" else here > last
    return query.where(is_behind).with_only_columns(*PROFILE).limit(LIMIT)


def parameters_of(position: Position, sort_by: str) -> dict[str, Any]:
    *_, parse = _ORDERS[sort_by]
    return {"value": parse(position.value), "id": position.id}


@lru_cache(KEPT)
def counted(query: Select[User], up_to: int | None = None) -> Select[int]:
    """How many rows `query` has, and not more than `up_to`, where it stops.

    No column is asked for, so that an index alone may tell.
    """
    one = literal_column("1", Integer)
    rows: Select[int] = query.with_only_columns(one).select_from(User).order_by(None)
    return select(func.count()).select_from(rows.limit(up_to).subquery())

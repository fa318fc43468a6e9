"""Queries on lists of users: filters, order, pages and counts.

Each statement is built once. To build one, and to find that it has been compiled before, takes
SQLAlchemy longer than to run it. A list with the same filters and order gets the same statement
again, which holds its compiled form; what differs from page to page is a parameter of it. A first
page has no parameters, but for the search: PostgreSQL plans a statement without parameters once for
each connection (behind a pooler, each time), and planning, too, takes longer than running it.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Row,
    Select,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute

from app.core.security.signing import Position
from app.database import PlanEstimate, Reads, estimate
from app.models import SEARCHED_TEXT, User
from app.models.user import username_key_of
from app.models.user_activity import UserActivity
from app.models.user_count import STATES, UserCount
from app.repositories.list_queries import ListQueries
from app.schemas.list_params import filters_of
from app.schemas.user import UserSchema
from app.schemas.user_list import UserFilters

MAX_STATEMENTS = 512
"""Cached statements of each kind. There are 90 lists by activity and access alone, and a first page
of each for any size that is requested; with a search, roles, ids or dates there are any number."""
DEEP = 1_000
"""Users before a page, from which on they are skipped in the index alone."""
_FIELDS = tuple(UserSchema.model_fields)
_COLUMNS: tuple[InstrumentedAttribute[Any], ...] = tuple(getattr(User, name) for name in _FIELDS)
_USERS = TypeAdapter(list[UserSchema])
_LIMIT, _OFFSET = bindparam("limit", type_=Integer), bindparam("offset", type_=Integer)
LISTS = ListQueries(User, SEARCHED_TEXT, {"username": username_key_of})


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

    async def page(
        self, filters: UserFilters, part: Slice, within: float | None = None
    ) -> list[UserSchema]:
        """The users of a part of the list.

        Args:
            filters: those of the list.
            part: of the list.
            within: see `Reads.rows`, as for the methods below.
        """
        statement = select_page(_sliced(filters, part))
        rows = await self._reads.rows(statement, _parameters(filters, part), within=within)
        return _users(rows)

    async def page_and_count(
        self, filters: UserFilters, part: Slice, up_to: int, within: float | None = None
    ) -> tuple[list[UserSchema], int]:
        """The same, and the length of the whole list, not counting beyond `up_to` where the users
        themselves are counted: in one statement, which costs a round trip only once."""
        statement = select_page_and_count(_sliced(filters, part), filters, up_to)
        if part.offset >= DEEP:
            statement = select_deep_page_and_count(select_users(filters), filters, up_to)
        return await self._counted(statement, filters, part, up_to, within)

    async def page_among(
        self, filters: UserFilters, part: Slice, among: int, within: float | None = None
    ) -> list[UserSchema]:
        """The users of a part of a search, of the first `among` users of the list searched."""
        everyone = filters.model_copy(update={"search": None})
        query = select_users(everyone)
        if part.after is not None:
            query = _behind(select_users(LISTS.behind(everyone)), everyone)
        statement = select_page_among(query, filters, among)
        rows = await self._reads.rows(statement, _parameters(filters, part), within=within)
        return _users(rows)

    async def sorted_page_and_count(
        self, filters: UserFilters, part: Slice, up_to: int, within: float | None = None
    ) -> tuple[list[UserSchema], int]:
        """The same by another plan: find all users first, which are expected to be few, then sort.

        Where the count is `up_to`, there are more users, and those returned are not the first.
        """
        found = select_sorted_page_and_count(_sliced(filters, part), filters, up_to)
        return await self._counted(found, filters, part, up_to, within)

    async def _counted(
        self,
        statement: Select[Any],
        filters: UserFilters,
        part: Slice,
        up_to: int,
        within: float | None,
    ) -> tuple[list[UserSchema], int]:
        rows = await self._reads.rows(statement, _parameters(filters, part), within=within)
        if not rows:  # and so none that carries the count
            return [], await self.count(filters, up_to, within) if part.offset else 0
        return _users(rows), rows[0][-1]

    async def count(
        self, filters: UserFilters, up_to: int | None = None, within: float | None = None
    ) -> int:
        """The length of a list, not counting beyond `up_to` where users are counted."""
        statement = _select_length(select_users(filters), filters, up_to)
        ((count,),) = await self._reads.rows(statement, within=within)
        return int(count)

    async def last_seen_on(self, ids: Sequence[int]) -> dict[int, date]:
        """The day on which each of these users was seen last; without those who never were. No
        query where there are none."""
        if not ids:
            return {}
        query = select(UserActivity.user_id, UserActivity.seen_on)
        rows = await self._reads.rows(query.where(UserActivity.user_id.in_(ids)))
        return {row.user_id: row.seen_on for row in rows}

    async def estimate(self, filters: UserFilters) -> PlanEstimate:
        """The planner's estimate for finding all users of a list."""
        ids = select_users(filters).with_only_columns(User.id).order_by(None)
        return await estimate(self._reads, ids)

    async def batches(self, filters: UserFilters, size: int) -> AsyncGenerator[list[UserSchema]]:
        """A whole list, `size` users at a time: see `Reads.batches`."""
        async with aclosing(
            self._reads.batches(select_page(select_users(filters)), size)
        ) as batches:
            async for rows in batches:
                yield _users(rows)


def _sliced(filters: UserFilters, part: Slice) -> Select[User]:
    listed = filters if part.after is None else LISTS.behind(filters)
    return sliced(select_users(listed), filters, part)


def _parameters(filters: UserFilters, part: Slice) -> dict[str, Any]:
    values: dict[str, Any] = {"limit": part.limit, "offset": part.offset}
    return values if part.after is None else values | LISTS.values(filters, part.after)


def _users(rows: Sequence[Row[Any]]) -> list[UserSchema]:
    """Validated as dicts: to read the attributes of each row takes three times as long."""
    return _USERS.validate_python([dict(zip(_FIELDS, row, strict=False)) for row in rows])


@lru_cache(MAX_STATEMENTS)
def select_users(filters: UserFilters) -> Select[User]:
    """See `UserRepository.get_filtered_users`."""
    return LISTS.select(filters)


def sliced(query: Select[User], filters: UserFilters, part: Slice) -> Select[User]:
    """`query` with the limit of a part; it takes the part's parameters."""
    if part.after is not None:
        return _after(query, filters)
    return _further(query) if part.offset else _first(query, part.limit)


@lru_cache(MAX_STATEMENTS)
def _first(query: Select[User], limit: int) -> Select[User]:
    return query.limit(_number(limit))


@lru_cache(MAX_STATEMENTS)
def _further(query: Select[User]) -> Select[User]:
    return query.limit(_LIMIT).offset(_OFFSET)


@lru_cache(MAX_STATEMENTS)
def _after(query: Select[User], filters: UserFilters) -> Select[User]:
    return _behind(query, filters).limit(_LIMIT)


def _behind(query: Select[User], filters: UserFilters) -> Select[User]:
    return LISTS.after(query, filters)


@lru_cache(MAX_STATEMENTS)
def select_page(query: Select[User]) -> Select[Any]:
    """The fields of `UserSchema`."""
    return query.with_only_columns(*_COLUMNS)


@lru_cache(MAX_STATEMENTS)
def select_page_and_count(
    query: Select[User], filters: UserFilters, up_to: int | None
) -> Select[Any]:
    """The same, each row with the length of the list, as `_select_length` has it."""
    length = _select_length(query, filters, up_to)
    return select_page(query).add_columns(length.scalar_subquery())


@lru_cache(MAX_STATEMENTS)
def select_deep_page_and_count(
    query: Select[User], filters: UserFilters, up_to: int | None
) -> Select[Any]:
    """The same far from the start: users are skipped in the index alone where it has the order and
    the filters, and only those of the page are read from the table."""
    ids = query.with_only_columns(User.id).limit(_LIMIT).offset(_OFFSET).subquery()
    page = select(*_COLUMNS).join(ids, ids.c.id == User.id).order_by(*LISTS.order(User, filters))
    return page.add_columns(_select_length(query, filters, up_to).scalar_subquery())


@lru_cache(MAX_STATEMENTS)
def select_page_among(query: Select[User], filters: UserFilters, among: int) -> Select[Any]:
    """Users of a search among the first `among` rows of `query`, which has its order, read no
    further than needed to fill the page."""
    assert filters.search is not None  # noqa: S101  # there is a search
    searched = (
        query.limit(_number(among))
        .with_only_columns(
            *_COLUMNS,
            LISTS.key(filters).label("key"),
            LISTS.matches(filters.search).label("is_match"),
        )
        .subquery()
    )
    key = searched.c.key, searched.c.id
    order = [part.desc() if filters.sort_order == "desc" else part.asc() for part in key]
    found = select(*(searched.c[name] for name in _FIELDS)).where(searched.c.is_match)
    return found.order_by(*order).limit(_LIMIT).offset(_OFFSET)


@lru_cache(MAX_STATEMENTS)
def select_sorted_page_and_count(
    query: Select[User], filters: UserFilters, up_to: int
) -> Select[Any]:
    """The same among any `up_to` rows, all of which are found before they are sorted. Otherwise
    PostgreSQL may go through the users in order, where it expects to find enough of them soon; it
    reads the whole table where they are fewer, or all at its end.
    """
    found = _unordered(query, up_to).with_only_columns(*_COLUMNS).cte("found")
    count = select(func.count()).select_from(found).scalar_subquery()
    ordered = select(found, count).order_by(*LISTS.order(found.c, filters))
    return ordered.limit(_LIMIT).offset(_OFFSET)


def is_counted(filters: UserFilters) -> bool:
    """Whether counters have the length of a list: it is of users in some state."""
    given = {name for name in filters_of(type(filters)) if getattr(filters, name) is not None}
    return not filters.search and given <= set(STATES)


def _select_length(query: Select[User], filters: UserFilters, up_to: int | None) -> Select[int]:
    """The sum of counters, or else the rows of `query`, not counting beyond `up_to`."""
    if not is_counted(filters):
        return select_count(query, up_to)
    states = [getattr(UserCount, name) for name in STATES]
    values = [getattr(filters, name) for name in STATES]
    conditions = [
        state if value else ~state  # no parameter, so that a first page has none
        for state, value in zip(states, values, strict=True)
        if value is not None
    ]
    total = cast(func.coalesce(func.sum(UserCount.delta), _number(0)), BigInteger)
    return select(total).where(UserCount.bucket.is_(None), *conditions)


@lru_cache(MAX_STATEMENTS)
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

"""Lists of users, by page and by cursor."""

from math import ceil
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row, Select

from app.core.cache import AnswerCache
from app.core.pagination import CursorParams, PageParams
from app.core.signing import CursorSigner, Position
from app.database import Reads
from app.models import User
from app.repositories.user.listing import Rows, UserListRepository
from app.repositories.user.queries import PROFILE, Part
from app.repositories.user.repository import UserRepository
from app.schemas.user import UserSchema
from app.schemas.user_list import UserCursorPage, UserFilters, UserPage
from app.services.user import totals
from app.services.user.totals import Total, UserTotals

_FIELDS = tuple(column.key for column in PROFILE)
_ITEMS = TypeAdapter(list[UserSchema])


class UserListService:
    """Reads users by the page; one for the whole process.

    Args:
        reads: run the queries.
        cursors: signs where a page ended.
        answers: where large totals are remembered.
    """

    def __init__(self, reads: Reads, cursors: CursorSigner, answers: AnswerCache) -> None:
        self.users = UserListRepository(reads)
        self.cursors = cursors
        self.totals = UserTotals(self.users, answers)

    async def page(self, filters: UserFilters, params: PageParams) -> UserPage:
        """A page by number, and how many users there are in all."""
        find = self._search if filters.search else self._in_state
        offset = (params.page - 1) * params.size
        users, total = await find(
            filters, Part(filters.sort_by, filters.sort_order, params.size, offset)
        )
        return UserPage(
            items=shown(users),
            total=total.count,
            total_is_estimate=total.is_estimate,
            page=params.page,
            size=params.size,
            pages=ceil(total.count / params.size),
        )

    async def _in_state(self, filters: UserFilters, part: Part) -> tuple[Rows, Total]:
        query = UserRepository.get_filtered_users(**filters.model_dump())
        if self.totals.were_many(filters):
            total = await self.totals.in_state(filters)
            if total > totals.COUNTED:
                users = await self.users.slice(query, part)
                seen = _seen(users, part)
                return users, Total(seen if _is_end(users, part) else max(total, seen))
        users, found = await self.users.slice_and_count(query, part, totals.COUNTED + 1)
        if found <= totals.COUNTED:
            return users, Total(found)
        total = await self.totals.in_state(filters)
        return users, Total(max(total, found, _seen(users, part)))

    async def _search(self, filters: UserFilters, part: Part) -> tuple[Rows, Total]:
        query = UserRepository.get_filtered_users(**filters.model_dump())
        users, total = await self._find(query, part)
        if total.is_estimate:
            total = await self.totals.of_search(filters, total.count, _seen(users, part))
        return users, total

    async def _find(self, query: Select[User], part: Part) -> tuple[Rows, Total]:
        """Some of those whom a search finds, and how many it finds: for certain where they are
        few or end here, else by what the planner expects and what was met."""
        expected, found = await self.users.expect(query), 0
        if totals.are_few(expected):
            users, found = await self.users.collect(query, part, totals.COLLECTED + 1)
            if found <= totals.COLLECTED:
                return users, Total(found)
        users = await self.users.slice(query, part)
        seen = _seen(users, part)
        if _is_end(users, part):
            return users, Total(seen)
        return users, Total(max(expected.rows, found, seen), is_estimate=True)

    async def cursor_page(self, filters: UserFilters, params: CursorParams) -> UserCursorPage:
        """The page behind a cursor, or the first: at the same cost however deep it is.

        Whoever follows the cursors meets each user once who is there all the while and whose
        place in the order does not change.

        Raises:
            ValidationException: the cursor is none of a list with these filters and this order.
        """
        listing = filters.model_dump_json()
        query = UserRepository.get_filtered_users(**filters.model_dump())
        sent = params.cursor
        position = None if sent is None else self.cursors.read(sent, listing)
        part = Part(filters.sort_by, filters.sort_order, params.size + 1, behind=position)
        if filters.search:
            users, _ = await self._find(query, part)
        else:
            users = await self.users.slice(query, part)
        page, is_last = users[: params.size], len(users) <= params.size
        return UserCursorPage(
            items=shown(page),
            next_cursor=None
            if is_last
            else self.cursors.sign(_position(page[-1], filters.sort_by), listing),
        )


def _seen(users: Rows, part: Part) -> int:
    """How many there are at least."""
    return part.offset + len(users) if users else 0


def _is_end(users: Rows, part: Part) -> bool:
    """Whether there are no more than those seen. Behind the end of a list nothing is known."""
    return len(users) < part.limit and bool(users or not part.offset)


def shown(users: Rows) -> list[UserSchema]:
    """Made of dicts, all at once: to ask each row for each attribute takes three times as long."""
    return _ITEMS.validate_python([dict(zip(_FIELDS, user, strict=False)) for user in users])


def _position(user: Row[Any], sort_by: str) -> Position:
    value = getattr(user, sort_by)
    return Position(value if isinstance(value, str) else value.isoformat(), user.id)

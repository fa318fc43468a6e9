"""Lists of users, by page and by cursor."""

from math import ceil
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.cache import AnswerCache
from app.core.cursor import CursorSigner, Position
from app.core.pagination import CursorParams, PageParams
from app.repositories import UserRepository
from app.schemas import UserCursorPage, UserFilters, UserPage, UserSchema
from app.services.base import BaseService
from app.services.user_totals import UserTotals, bound


class UserListService(BaseService):
    """Reads users by the page.

    Args:
        db: the request's session.
        cursors: signs where a page ended.
        answers: where large totals are remembered.
    """

    def __init__(self, db: AsyncSession, cursors: CursorSigner, answers: AnswerCache) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.cursors = cursors
        self.totals = UserTotals(db, answers)

    async def page(self, filters: UserFilters, params: PageParams) -> UserPage:
        """A page by number, and how many users there are in all."""
        query = self.users.get_filtered_users(**filters.model_dump())
        size, offset = params.size, (params.page - 1) * params.size
        up_to = bound(filters) + 1
        users, found = await self.users.slice_and_count(query, size, offset, up_to)
        seen = offset + len(users) if users else 0
        total = await self.totals.completed(filters, max(found, seen))
        return UserPage(
            items=[UserSchema.model_validate(user) for user in users],
            total=total.count,
            total_is_estimate=total.is_estimate,
            page=params.page,
            size=params.size,
            pages=ceil(total.count / params.size),
        )

    async def cursor_page(self, filters: UserFilters, params: CursorParams) -> UserCursorPage:
        """The page behind a cursor, or the first: at the same cost however deep it is.

        Whoever follows the cursors meets each user once who is there all the while and whose
        place in the order does not change.

        Raises:
            ValidationException: the cursor is none of a list with these filters and this order.
        """
        order = filters.sort_by, filters.sort_order
        listing = filters.model_dump_json()
        query = self.users.get_filtered_users(**filters.model_dump())
        if params.cursor is not None:
            position = self.cursors.read(params.cursor, listing)
            query = self.users.behind(query, position, *order)
        users = await self.users.slice(query, params.size + 1)
        page, is_last = users[: params.size], len(users) <= params.size
        return UserCursorPage(
            items=[UserSchema.model_validate(user) for user in page],
            next_cursor=None
            if is_last
            else self.cursors.sign(_position(page[-1], filters.sort_by), listing),
        )


def _position(user: Row[Any], sort_by: str) -> Position:
    value = getattr(user, sort_by)
    return Position(value if isinstance(value, str) else value.isoformat(), user.id)

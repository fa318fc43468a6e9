"""`UserListService`: lists of users, by page number and by cursor."""

from collections.abc import Sequence
from math import ceil

from app.core.pagination import CursorParams, PageParams
from app.core.signing import CursorSigner
from app.database import Reads
from app.repositories.list_queries import position_of
from app.repositories.user.lists import Slice, UserListRepository, is_counted
from app.schemas.user import UserSchema
from app.schemas.user_list import UserCursorPage, UserFilters, UserPage
from app.services.user import totals
from app.services.user.totals import Total


class UserListService:
    """Pages of users. One instance serves the whole process.

    Args:
        reads: runs the queries.
        cursors: signs the position where a page ended.
    """

    def __init__(self, reads: Reads, cursors: CursorSigner) -> None:
        self.users = UserListRepository(reads)
        self.cursors = cursors

    async def page(self, filters: UserFilters, params: PageParams) -> UserPage:
        """A page by number, and the number of users in the whole list."""
        find = self._search if filters.search else self._in_state
        offset = (params.page - 1) * params.size
        users, total = await find(filters, Slice(params.size, offset))
        return UserPage(
            items=users,
            total=total.count,
            total_is_estimate=total.is_estimate,
            page=params.page,
            size=params.size,
            pages=ceil(total.count / params.size),
        )

    async def _in_state(self, filters: UserFilters, part: Slice) -> tuple[list[UserSchema], Total]:
        """Users without a search, and their number: from counters, or counted up to a bound."""
        users, found = await self.users.page_and_count(filters, part, totals.COUNT_LIMIT + 1)
        if is_counted(filters) or found <= totals.COUNT_LIMIT:
            return users, Total(found)
        if _is_end(users, part):
            return users, Total(_seen(users, part))
        expected = await self.users.estimate(filters)
        least = max(found, _seen(users, part))
        return users, Total(max(expected.rows, least), is_estimate=True)

    async def _search(self, filters: UserFilters, part: Slice) -> tuple[list[UserSchema], Total]:
        users, total = await self._find(filters, part)
        if not total.is_estimate:
            return users, total
        everyone = filters.model_copy(update={"search": None})
        searched = await self.users.count(everyone, totals.COUNT_LIMIT + 1)
        if searched <= totals.MAX_COLLECTED:
            return users, Total(await self.users.count(filters))
        if not is_counted(everyone):
            return users, total
        return users, Total(max(_seen(users, part), min(total.count, searched)), is_estimate=True)

    async def _find(self, filters: UserFilters, part: Slice) -> tuple[list[UserSchema], Total]:
        """Users found by a search, and their number: exact where they are few or the list ends
        here, else estimated from the planner and from the users found."""
        expected, found = await self.users.estimate(filters), 0
        if totals.are_few(expected):
            users, found = await self.users.sorted_page_and_count(
                filters, part, totals.MAX_COLLECTED + 1
            )
            if found <= totals.MAX_COLLECTED:
                return users, Total(found)
        users = await self.users.page(filters, part)
        seen = _seen(users, part)
        if _is_end(users, part):
            return users, Total(seen)
        return users, Total(max(expected.rows, found, seen), is_estimate=True)

    async def cursor_page(self, filters: UserFilters, params: CursorParams) -> UserCursorPage:
        """The page after a cursor, or the first: at the same cost however deep it is.

        A client that follows the cursors gets each user once who exists all the while and whose
        place in the order does not change.

        Raises:
            ValidationException: the cursor is not of a list with these filters and this order.
        """
        listing = filters.model_dump_json()
        part = Slice(params.size + 1, after=self.cursors.read(params.cursor, listing))
        if filters.search:
            users, _ = await self._find(filters, part)
        else:
            users = await self.users.page(filters, part)
        items, is_last = users[: params.size], len(users) <= params.size
        end = None if is_last else position_of(items[-1], filters.sort_by)
        return UserCursorPage(items=items, next_cursor=end and self.cursors.sign(end, listing))


def _seen(users: Sequence[UserSchema], part: Slice) -> int:
    """The least number of users that the list has, judged by a part of it."""
    return part.offset + len(users) if users else 0


def _is_end(users: Sequence[UserSchema], part: Slice) -> bool:
    """Whether the list ends with these users. An empty part after an offset does not say."""
    return len(users) < part.limit and bool(users or not part.offset)

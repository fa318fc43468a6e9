"""`UserListService`: lists of users, by page number and by cursor."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from math import ceil

from app.core.exceptions import StatementTimeoutException
from app.core.pagination import CursorParams, PageParams
from app.core.security.signing import CursorSigner
from app.database import Reads
from app.repositories.list_queries import position_of
from app.repositories.user import lists
from app.repositories.user.lists import Slice, UserListRepository, is_counted
from app.schemas.user import UserSchema
from app.schemas.user_list import UserCursorPage, UserFilters, UserPage
from app.services.user import totals
from app.services.user.search import UserSearch
from app.services.user.totals import Total


class UserListService:
    """Pages of users. One instance serves the whole process.

    Args:
        reads: runs the queries.
        cursors: signs the position where a page ended.
    """

    def __init__(self, reads: Reads, cursors: CursorSigner) -> None:
        self.users = UserListRepository(reads)
        self.search = UserSearch(self.users)
        self.cursors = cursors

    async def page(self, filters: UserFilters, params: PageParams) -> UserPage:
        """A page by number, and the number of users in the whole list.

        Raises:
            ValidationException: it takes too long among so many users; the detail says what to do.
        """
        find = self.search.find if filters.search else self._in_state
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
        within = await self._bound(filters, part)
        if part.offset > totals.max_offset(filters.sort_by):
            return await self._behind_the_end(filters, part, within)
        with _refusing_slow_lists():
            users, found = await self.users.page_and_count(
                filters, part, totals.COUNT_LIMIT + 1, within
            )
        if is_counted(filters) or found <= totals.COUNT_LIMIT:
            return users, Total(found)
        if len(users) < part.limit and users:
            return users, Total(part.offset + len(users))
        expected = await self.users.estimate(filters)
        least = max(found, part.offset + len(users) if users else 0)
        return users, Total(max(expected.rows, least), is_estimate=True)

    async def _behind_the_end(
        self, filters: UserFilters, part: Slice, within: float | None
    ) -> tuple[list[UserSchema], Total]:
        """A page that is empty, since the list is shorter.

        Raises:
            ValidationException: it is longer; the detail names the cursor.
        """
        with _refusing_slow_lists():
            count = await self.users.count(filters, totals.COUNT_LIMIT + 1, within)
        is_exact = is_counted(filters) or count <= totals.COUNT_LIMIT
        if is_exact and count <= part.offset:
            return [], Total(count)
        raise totals.too_deep(filters.sort_by)

    async def _bound(self, filters: UserFilters, part: Slice) -> float | None:
        """Seconds that a statement may take; None where an index surely has the page."""
        is_at_hand = (
            part.offset < lists.DEEP and is_counted(filters) and filters.sort_by == "created_at"
        )
        return None if is_at_hand else await self.search.bound()

    async def cursor_page(self, filters: UserFilters, params: CursorParams) -> UserCursorPage:
        """The page after a cursor, or the first: at the same cost however deep it is.

        A client that follows the cursors gets each user once who exists all the while and whose
        place in the order does not change.

        Raises:
            ValidationException: the cursor is not of a list with these filters and this order, or
                it takes too long among so many users; the detail says what to do.
        """
        listing = filters.model_dump_json()
        part = Slice(params.size + 1, after=self.cursors.read(params.cursor, listing))
        if filters.search:
            users, _ = await self.search.find(filters, part)
        else:
            with _refusing_slow_lists():
                users = await self.users.page(filters, part, await self._bound(filters, part))
        items, is_last = users[: params.size], len(users) <= params.size
        end = None if is_last else position_of(items[-1], filters.sort_by)
        return UserCursorPage(items=items, next_cursor=end and self.cursors.sign(end, listing))

    async def last_seen_on(self, ids: Sequence[int]) -> dict[int, date]:
        """The day, in UTC, on which each of these users was seen last; without those who never
        were."""
        return await self.users.last_seen_on(ids)


@contextmanager
def _refusing_slow_lists() -> Iterator[None]:
    try:
        yield
    except StatementTimeoutException:
        raise totals.too_slow() from None

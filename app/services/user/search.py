"""`UserSearch`: users found by a search, and their number, at a bounded cost (ADR 5)."""

import time

from app.core.exceptions import StatementTimeoutException
from app.repositories.user.lists import Slice, UserListRepository, is_counted
from app.schemas.user import UserSchema
from app.schemas.user_list import UserFilters
from app.services.user import totals
from app.services.user.totals import Total, search_refusal

SIZE_TTL = 30.0
"""Seconds for which the number of all users is remembered, by which a search is planned."""
Found = tuple[list[UserSchema], Total]


class UserSearch:
    """Searches users. In a small table it takes one statement, without an estimate before.

    Args:
        users: runs the queries.
    """

    def __init__(self, users: UserListRepository) -> None:
        self._users = users
        self._size = 0
        self._expires = 0.0

    async def size(self) -> int:
        """The number of all users, at most `SIZE_TTL` seconds ago."""
        if self._expires <= time.monotonic():
            self._size = await self._users.count(UserFilters())
            self._expires = time.monotonic() + SIZE_TTL
        return self._size

    async def bound(self) -> float | None:
        """Seconds that a statement on the table may take; None where it is small."""
        return None if await self.size() <= totals.SMALL_TABLE else totals.BOUND

    async def find(self, filters: UserFilters, part: Slice) -> Found:
        """A part of what a search finds, and the number of all: exact if they are few or the list
        ends here, else estimated.

        Raises:
            ValidationException: it takes too long; the detail says what to search for instead.
        """
        if await self.bound() is None:
            limit = totals.MAX_COLLECTED if self._size <= totals.MAX_COLLECTED else totals.FEW
            users, found = await self._users.sorted_page_and_count(filters, part, limit + 1)
            if found <= limit:
                return users, Total(found)
        try:
            return await self._find_many(filters, part)
        except StatementTimeoutException:
            raise search_refusal(filters.search or "") from None

    async def _find_many(self, filters: UserFilters, part: Slice) -> Found:
        expected, found = await self._users.estimate(filters), 0
        within = await self.bound()
        # Without a trigram, an index is read as a whole, which the server does not interrupt.
        is_short = within is not None and totals.is_too_short(filters.search or "")
        if totals.are_few(expected) and not is_short:
            users, found = await self._users.sorted_page_and_count(
                filters, part, totals.MAX_COLLECTED + 1, within
            )
            if found <= totals.MAX_COLLECTED:
                return users, Total(found)
        users = await self._users.page_among(filters, part, totals.MAX_SCANNED, within)
        if len(users) == part.limit:
            count = max(expected.rows, found, part.offset + len(users))
            return users, await self._estimated(filters, part, count, within)
        searched, is_exact = await self._searched(filters, within)
        if is_exact and searched <= totals.MAX_SCANNED and (users or not part.offset):
            return users, Total(part.offset + len(users))
        if is_short:
            raise search_refusal(filters.search or "")
        return await self._among_all(filters, part, within)

    async def _among_all(self, filters: UserFilters, part: Slice, within: float | None) -> Found:
        """All that match are found and sorted, since the order has too few near its start."""
        users, found = await self._users.sorted_page_and_count(
            filters, part, totals.MAX_SORTED + 1, within
        )
        if found <= totals.MAX_SORTED:
            return users, Total(found)
        if within is None:
            return await self._users.page(filters, part), Total(found, is_estimate=True)
        raise search_refusal(filters.search or "")

    async def _estimated(
        self, filters: UserFilters, part: Slice, count: int, within: float | None
    ) -> Total:
        """`count`, unless those who are searched are so few that they can be counted."""
        searched, is_exact = await self._searched(filters, within)
        if searched <= totals.MAX_COLLECTED:
            return Total(await self._users.count(filters, within=within))
        if is_exact:
            count = max(min(count, searched), part.offset + part.limit)
        return Total(count, is_estimate=True)

    async def _searched(self, filters: UserFilters, within: float | None) -> tuple[int, bool]:
        """The number of users among whom the search looks, and whether it is exact."""
        everyone = filters.model_copy(update={"search": None})
        if is_counted(everyone):
            return await self._users.count(everyone), True
        count = await self._users.count(everyone, totals.COUNT_LIMIT + 1, within)
        return count, count <= totals.COUNT_LIMIT

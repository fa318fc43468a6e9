"""How many users there are, at a price that a page of them can bear (ADR 5)."""

from dataclasses import dataclass

from app.core.cache import AnswerCache
from app.repositories import UserListRepository, UserRepository
from app.schemas import UserFilters

COUNTED = 10_000
"""Users that are counted anew each time: about 1 ms by an index alone."""
SEARCHED = 1_000
"""The same for a search among more than those, each of whose rows has to be read: a few ms."""
EXPECTED = 5_000
"""Where the planner expects more than these of a search, nobody counts them up to `SEARCHED`: to
look that many up takes longer than the page."""
REMEMBERED = 10
"""Seconds that a larger number of users in some state may be old."""


@dataclass(frozen=True, slots=True)
class Total:
    """Of a list."""

    count: int
    is_estimate: bool = False


class UserTotals:
    """Counts exactly where that is cheap, remembers where it is not, and says where it estimates.

    Args:
        users: counts.
        answers: where large numbers are remembered.
    """

    def __init__(self, users: UserListRepository, answers: AnswerCache) -> None:
        self.users = users
        self.answers = answers

    async def in_state(self, filters: UserFilters, found: int) -> Total:
        """How many users there are, where nothing is searched for.

        Args:
            filters: those of the list.
            found: counted already, up to one more than `COUNTED`.
        """
        return Total(found if found <= COUNTED else await self._remember(filters))

    async def of_search(self, filters: UserFilters, seen: int) -> Total:
        """How many users a search finds.

        Args:
            filters: those of the list.
            seen: that there are at least, by the page.
        """
        query = UserRepository.get_filtered_users(**filters.model_dump())
        expected = await self.users.expected_count(query)
        found = seen
        if expected <= EXPECTED:
            found = max(seen, await self.users.count(query, up_to=SEARCHED + 1))
            if found <= SEARCHED:
                return Total(found)
        searched = await self._remember(filters)
        if searched <= COUNTED:
            return Total(await self.users.count(query, up_to=COUNTED))
        return Total(min(max(expected, found), searched), is_estimate=True)

    async def _remember(self, filters: UserFilters) -> int:
        query = UserRepository.get_filtered_users(filters.is_active, filters.is_superuser)

        async def count() -> bytes:
            return str(await self.users.count(query)).encode()

        key = f"count_users:{filters.is_active}:{filters.is_superuser}"
        return int(await self.answers.remember(key, REMEMBERED, count))

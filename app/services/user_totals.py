"""How many users there are, at a price that a page of them can bear (ADR 5)."""

from dataclasses import dataclass

from app.core.cache import AnswerCache
from app.repositories import UserListRepository, UserRepository
from app.schemas import UserFilters

COUNTED = 1_000
"""Users that are counted anew each time: 0.1 ms by an index alone."""
REMEMBERED = 10
"""Seconds that a larger number of users in some state may be old."""
EXPECTED = 5_000
"""Of a search that is expected to find as many, all are looked up: 10 to 20 ms at a million users.
More of them take longer than to go through the users in order until a page is full."""
COLLECTED = 2 * EXPECTED
"""Nobody looks more of them up than these, whatever was expected."""


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

    async def of_search(self, filters: UserFilters, expected: int) -> Total:
        """How many users a search finds that finds too many to look them all up.

        Args:
            filters: those of the list.
            expected: how many there are, by the planner and by what was found.
        """
        searched = await self._remember(filters)
        if searched <= COLLECTED:
            query = UserRepository.get_filtered_users(**filters.model_dump())
            return Total(await self.users.count(query))
        return Total(min(expected, searched), is_estimate=True)

    async def _remember(self, filters: UserFilters) -> int:
        query = UserRepository.get_filtered_users(filters.is_active, filters.is_superuser)

        async def count() -> bytes:
            return str(await self.users.count(query)).encode()

        key = f"count_users:{filters.is_active}:{filters.is_superuser}"
        return int(await self.answers.remember(key, REMEMBERED, count))

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


_State = tuple[bool | None, bool | None]


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
        self._many: set[_State] = set()

    def are_many(self, filters: UserFilters) -> bool:
        """Whether users in some state were too many to count, when that was last asked."""
        return _state(filters) in self._many

    async def in_state(self, filters: UserFilters) -> int:
        """How many users there are in some state, at most `REMEMBERED` seconds ago."""
        count = await self._remember(filters)
        if count > COUNTED:
            self._many.add(_state(filters))
        else:
            self._many.discard(_state(filters))
        return count

    async def of_search(self, filters: UserFilters, expected: int) -> Total:
        """How many users a search finds that finds too many to look them all up.

        Args:
            filters: those of the list.
            expected: how many there are, by the planner and by what was found.
        """
        searched = await self.in_state(filters)
        if searched <= COLLECTED:
            query = UserRepository.get_filtered_users(**filters.model_dump())
            return Total(await self.users.count(query))
        return Total(min(expected, searched), is_estimate=True)

    async def _remember(self, filters: UserFilters) -> int:
        is_active, is_superuser = _state(filters)
        query = UserRepository.get_filtered_users(is_active, is_superuser)

        async def count() -> bytes:
            return str(await self.users.count(query)).encode()

        key = f"count_users:{is_active}:{is_superuser}"
        return int(await self.answers.remember(key, REMEMBERED, count))


def _state(filters: UserFilters) -> _State:
    return filters.is_active, filters.is_superuser

"""How many users there are, at a price that a page of them can bear (ADR 5)."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.cache import AnswerCache
from app.repositories import UserRepository
from app.schemas import UserFilters
from app.services.base import BaseService

COUNTED = 10_000
"""Users that are counted anew each time: about 1 ms by an index alone."""
SEARCHED = 1_000
"""The same for a search among more than those, each of whose rows has to be read: a few ms."""
REMEMBERED = 10
"""Seconds that a larger number of users in some state may be old."""


@dataclass(frozen=True, slots=True)
class Total:
    """Of a list."""

    count: int
    is_estimate: bool = False


class UserTotals(BaseService):
    """Counts exactly where that is cheap, remembers where it is not, and says where it estimates.

    Args:
        db: the request's session.
        answers: where large numbers are remembered.
    """

    def __init__(self, db: AsyncSession, answers: AnswerCache) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.answers = answers

    async def completed(self, filters: UserFilters, found: int) -> Total:
        """How many users the filters leave.

        Args:
            filters: those of the list.
            found: counted already, up to one more than `bound(filters)`.
        """
        if found <= bound(filters):
            return Total(found)
        if not filters.search:
            return Total(await self._remember(filters))
        query = self.users.get_filtered_users(**filters.model_dump())
        searched = await self._in_state(filters)
        if searched <= COUNTED:
            return Total(await self.users.count(query, up_to=COUNTED))
        expected = await self.users.expected_count(query)
        return Total(min(max(expected, found), searched), is_estimate=True)

    async def _in_state(self, filters: UserFilters) -> int:
        """Whatever is searched for."""
        query = self.users.get_filtered_users(filters.is_active, filters.is_superuser)
        counted = await self.users.count(query, up_to=COUNTED + 1)
        return counted if counted <= COUNTED else await self._remember(filters)

    async def _remember(self, filters: UserFilters) -> int:
        await self.release_connection()  # while somebody else counts
        query = self.users.get_filtered_users(filters.is_active, filters.is_superuser)

        async def count() -> bytes:
            return str(await self.users.count(query)).encode()

        key = f"count_users:{filters.is_active}:{filters.is_superuser}"
        return int(await self.answers.remember(key, REMEMBERED, count))


def bound(filters: UserFilters) -> int:
    """How many are counted anew each time."""
    return SEARCHED if filters.search else COUNTED

"""Total counts of user lists: exact, cached or estimated, by their cost (ADR 5)."""

import json
import time
from dataclasses import dataclass
from typing import Any

from app.core.cache import ResultCache
from app.database import PlanEstimate
from app.repositories.user.lists import UserListRepository
from app.schemas.list_params import filters_of
from app.schemas.user_list import UserFilters

COUNT_LIMIT = 1_000
"""Users that are counted for each request: 0.1 ms by an index alone."""
COUNT_TTL = 10
"""Seconds for which a larger number of users in some state is cached."""
MAX_EXPECTED = 5_000
"""A search that is expected to find at most as many finds them all: 10 to 20 ms at a million users.
More of them take longer than to go through the users in order until a page is full."""
MAX_COST = 1_000
"""The planner's cost of a search that may read the table where no index serves: some 20,000 users
are read in 10 ms."""
MAX_COLLECTED = 2 * MAX_EXPECTED
"""Users that a search finds at most, whatever was expected."""


def are_few(expected: PlanEstimate) -> bool:
    """Whether a search is best done by finding all users before they are sorted."""
    is_cheap = not expected.reads_a_table or expected.cost <= MAX_COST
    return is_cheap and expected.rows <= MAX_EXPECTED


MAX_COUNTS = 256
"""Counts that a process caches by itself; beyond that it clears them all."""
_State = tuple[tuple[str, Any], ...]
"""Every filter but the search, by name: so that the list and its count have the same filters."""


@dataclass(frozen=True, slots=True)
class _CachedCount:
    """A count, and when it expires, by the monotonic clock."""

    count: int
    expires: float


@dataclass(frozen=True, slots=True)
class Total:
    """The length of a list."""

    count: int
    is_estimate: bool = False


class UserTotals:
    """Counts exactly where that is cheap, caches where it is not, and marks estimates as such.

    Args:
        users: counts.
        results: caches large numbers.
    """

    def __init__(self, users: UserListRepository, results: ResultCache) -> None:
        self.users = users
        self.results = results
        self._counts: dict[_State, _CachedCount] = {}

    def were_many(self, filters: UserFilters) -> bool:
        """Whether users in some state were too many to count when they were last counted."""
        cached = self._counts.get(_state(filters))
        return cached is not None and cached.count > COUNT_LIMIT

    async def in_state(self, filters: UserFilters) -> int:
        """The number of users in some state, at most `COUNT_TTL` seconds ago."""
        state = _state(filters)
        cached = self._counts.get(state)
        if cached is None or cached.expires <= time.monotonic():
            cached = await self._count(filters, state)
            if len(self._counts) >= MAX_COUNTS:
                self._counts.clear()
            self._counts[state] = cached
        return cached.count

    async def of_search(self, filters: UserFilters, expected: int, seen: int) -> Total:
        """The number of users that a search finds, where they are too many to find them all.

        Args:
            filters: those of the list.
            expected: the estimate of the planner and of what was found.
            seen: the least number, judged by the page.
        """
        searched = await self.in_state(filters)
        if searched <= MAX_COLLECTED:
            return Total(await self.users.count(filters))
        return Total(max(seen, min(expected, searched)), is_estimate=True)

    async def _count(self, filters: UserFilters, state: _State) -> _CachedCount:
        everyone = filters.model_copy(update={"search": None})

        async def count() -> bytes:
            return str(await self.users.count(everyone)).encode()

        key = f"count_users:{json.dumps(dict(state), default=str)}"
        entry = await self.results.get_or_compute(key, COUNT_TTL, count)
        until = time.monotonic() + entry.ttl - 1  # the ttl is rounded up
        return _CachedCount(int(entry.body), until)


def _state(filters: UserFilters) -> _State:
    return tuple((name, getattr(filters, name)) for name in filters_of(type(filters)))

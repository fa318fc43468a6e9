"""How many users there are, at a price that a page of them can bear (ADR 5)."""

import json
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from app.core.cache import AnswerCache
from app.database import Expected
from app.repositories.user.listing import UserListRepository
from app.repositories.user.repository import UserRepository
from app.schemas.user_list import UserFilters

COUNTED = 1_000
"""Users that are counted anew each time: 0.1 ms by an index alone."""
REMEMBERED = 10
"""Seconds that a larger number of users in some state may be old."""
EXPECTED = 5_000
"""Of a search that is expected to find as many, all are looked up: 10 to 20 ms at a million users.
More of them take longer than to go through the users in order until a page is full."""
CHEAP = 1_000
"""What it may cost where no index serves, by the planner: some 20,000 users are read in 10 ms."""
COLLECTED = 2 * EXPECTED
"""Nobody looks more of them up than these, whatever was expected."""


def are_few(expected: Expected) -> bool:
    """Whether those whom a search finds are best all looked up."""
    is_cheap = not expected.reads_a_table or expected.cost <= CHEAP
    return is_cheap and expected.rows <= EXPECTED


KNOWN = 256
"""Numbers that a process remembers by itself; past these it begins anew."""
_State = tuple[tuple[str, Any], ...]
"""Every filter but the search, by name: what is counted is what is listed."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A number that this process need not ask for again until then, by the monotonic clock."""

    count: int
    until: float


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
        self._known: dict[_State, _Known] = {}

    def were_many(self, filters: UserFilters) -> bool:
        """Whether users in some state were too many to count, when that was last asked."""
        known = self._known.get(_state(filters))
        return known is not None and known.count > COUNTED

    async def in_state(self, filters: UserFilters) -> int:
        """How many users there were in some state, at most `REMEMBERED` seconds ago."""
        state = _state(filters)
        known = self._known.get(state)
        if known is None or known.until <= time.monotonic():
            known = await self._remember(state)
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[state] = known
        return known.count

    async def of_search(self, filters: UserFilters, expected: int, seen: int) -> Total:
        """How many users a search finds that finds too many to look them all up.

        Args:
            filters: those of the list.
            expected: how many there are, by the planner and by what was found.
            seen: how many there are at least, by the page.
        """
        searched = await self.in_state(filters)
        if searched <= COLLECTED:
            query = UserRepository.get_filtered_users(**filters.model_dump())
            return Total(await self.users.count(query))
        return Total(max(seen, min(expected, searched)), is_estimate=True)

    async def _remember(self, state: _State) -> _Known:
        query = UserRepository.get_filtered_users(**dict(state))

        async def count() -> bytes:
            return str(await self.users.count(query)).encode()

        key = f"count_users:{json.dumps(dict(state), default=str)}"
        entry = await self.answers.get_or_compute(key, REMEMBERED, count)
        return _Known(
            int(entry.body), time.monotonic() + entry.ttl - 1
        )  # the end of it is rounded up


def _state(filters: UserFilters) -> _State:
    return tuple((name, getattr(filters, name)) for name in _narrowing(type(filters)))


@cache
def _narrowing(filters: type[UserFilters]) -> tuple[str, ...]:
    """The names of the filters that a count depends on, beside the search."""
    others = {"search", "sort_by", "sort_order"}
    return tuple(name for name in filters.model_fields if name not in others)

"""Bounds of the totals of user lists (ADR 5)."""

from dataclasses import dataclass

from app.database import PlanEstimate

COUNT_LIMIT = 10_000
"""Users that are counted for each request, where no counter has their number."""
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


@dataclass(frozen=True, slots=True)
class Total:
    """The length of a list."""

    count: int
    is_estimate: bool = False

"""Bounds of user lists and searches, and of what counts them (ADR 5)."""

import re
from dataclasses import dataclass

from app.core.exceptions import ValidationException
from app.database import PlanEstimate

COUNT_LIMIT = 10_000
"""Users that are counted for each request, where no counter has their number."""
SMALL_TABLE = 100_000
"""Users among which a search needs neither an estimate first nor a bound: all of them are read in
0.4 s at most."""
FEW = 1_000
"""Users that a search in a small table finds before it is taken for a frequent one: 4 ms."""
MAX_EXPECTED = 5_000
"""A search that is expected to find at most as many finds them all: 10 to 20 ms at a million users.
More of them take longer than to go through the users in order until a page is full."""
MAX_COST = 1_000
"""The planner's cost of a search that may read the table where no index serves: some 20,000 users
are read in 10 ms."""
MAX_COLLECTED = 2 * MAX_EXPECTED
"""Users that a search finds at most, whatever was expected."""
MAX_SCANNED = 60_000
"""Users that a search goes through in order: 0.1 s if they are in memory."""
MAX_SORTED = 30_000
"""Users that a search finds where going through the order was in vain: 0.1 s, likewise."""
MAX_OFFSETS = {"created_at": 1_000_000}
"""Users before a page by number, by order: 0.2 s, as an index alone has that order."""
MAX_OFFSET = 20_000
"""The same for other orders, for which the users themselves are read."""
BOUND = 0.4
"""Seconds after which a statement of a list or search in a large table is cancelled."""
_TRIGRAM = re.compile(r"[^\W_]{3}")

CURSOR = "follow the cursors of /api/v1/users/cursor, which reaches any depth at the same cost"


def are_few(expected: PlanEstimate) -> bool:
    """Whether a search is best done by finding all users before they are sorted."""
    is_cheap = not expected.reads_a_table or expected.cost <= MAX_COST
    return is_cheap and expected.rows <= MAX_EXPECTED


def max_offset(sort_by: str) -> int:
    return MAX_OFFSETS.get(sort_by, MAX_OFFSET)


def too_deep(sort_by: str) -> ValidationException:
    message = f"at most {max_offset(sort_by):,} users before a page: {CURSOR}"
    return ValidationException(
        details=[{"field": "page", "message": message, "code": "out_of_range"}]
    )


def too_slow() -> ValidationException:
    message = f"takes too long to find among so many users: sort by created_at, or {CURSOR}"
    return ValidationException(details=[{"field": "page", "message": message}])


def search_refusal(search: str) -> ValidationException:
    """Why a search among many users ends without a page: the index of names has parts of three
    letters or digits, or too many users match, none of them near the start of the order."""
    if is_too_short(search):
        message = "among so many users, three letters or digits in a row are required"
        return ValidationException(
            details=[{"field": "search", "message": message, "code": "too_short"}]
        )
    message = (
        "matches too many users, which are not near the start of this order: search for a longer "
        "part of the name, or sort otherwise"
    )
    return ValidationException(details=[{"field": "search", "message": message}])


def is_too_short(search: str) -> bool:
    """Whether the index of names is of no use."""
    return _TRIGRAM.search(search) is None


@dataclass(frozen=True, slots=True)
class Total:
    """The length of a list."""

    count: int
    is_estimate: bool = False

"""`within`: wait for a condition by polling it."""

import time
from collections.abc import Callable, Iterator

POLL = 0.02
"""Seconds between two checks."""


def attempts(seconds: float) -> Iterator[None]:
    """A turn for each check of a condition; the last one comes when `seconds` are over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
    yield


def within(seconds: float, condition: Callable[[], object]) -> bool:
    """Poll `condition`; whether it became true in time."""
    for _ in attempts(seconds):
        if condition():
            return True
        time.sleep(POLL)
    return False

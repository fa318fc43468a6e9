"""A request's deadline, known to whatever runs within it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from app.core.exceptions import RequestTimeoutException

COMMIT_GRACE = 0.25
"""Seconds that the deadline waits for a commit under way. Within them the outcome becomes
known and is told; a commit that hangs longer is given up and its outcome is the database's."""


class Deadline:
    """The moment by which an answer must begin.

    Args:
        timeout: seconds from now.

    Attributes:
        timeout: the seconds it was last set to.
        expired: whether it passed and the caller was told so.
        committing: whether a commit is under way.
        has_committed: whether one has ended: what follows it has to be done, too.
        has_connected: whether the request had a connection of the pool, and has so begun its work.
        waited: seconds spent so far in waiting for one.
    """

    def __init__(self, timeout: float) -> None:
        self.expired = False
        self.committing = False
        self.has_committed = False
        self.has_connected = False
        self.waited = 0.0
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._set(timeout)

    def _set(self, timeout: float) -> None:
        self.timeout = timeout
        self.at = self._begun + timeout

    def reschedule(self, timeout: float) -> None:
        """Let the request have `timeout` seconds in all, more or fewer than by default."""
        self._set(timeout)

    def allow(self, seconds: float) -> None:
        """Let at least `seconds` remain: what was committed in time is also told."""
        self.at = max(self.at, self._loop.time() + seconds)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def current_deadline() -> Deadline | None:
    """The running request's deadline; None outside one."""
    return _current.get()


@contextmanager
def running_under(deadline: Deadline) -> Iterator[None]:
    """Make `deadline` the current one."""
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def commit_window() -> Iterator[None]:
    """Mark a commit, so that no 504 is sent for what is being made true at that moment.

    Raises:
        RequestTimeoutException: the deadline passed before; nothing may be committed any more.
    """
    deadline = _current.get()
    if deadline is None:
        yield
        return
    if deadline.expired:
        raise RequestTimeoutException(deadline.timeout)
    deadline.committing = True
    try:
        yield
        deadline.has_committed = True
        deadline.allow(COMMIT_GRACE)
    finally:
        deadline.committing = False

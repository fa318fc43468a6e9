"""Deadline of a request, in a context variable, and its extension for a running commit."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from app.core.exceptions import RequestTimeoutException

COMMIT_GRACE = 0.25
"""Seconds that the deadline waits for a commit in progress, so that its result can be reported. A
commit that hangs longer is abandoned, and the database decides about it."""


class Deadline:
    """The time by which a response must begin.

    Args:
        timeout: seconds from now.

    Attributes:
        timeout: seconds of the latest setting.
        expired: whether it passed and a 504 was sent.
        committing: whether a commit is in progress.
        has_committed: whether a commit has ended: the steps after it must run too.
        has_connected: whether the request had a database connection, and so has begun its work.
        waited: seconds spent waiting for a database connection.
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
        """Set the deadline to `timeout` seconds after the request's start."""
        self._set(timeout)

    def allow(self, seconds: float) -> None:
        """Extend the deadline so that `seconds` remain, to report a commit that was in time."""
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
    """Mark a commit in progress, so that no 504 is sent for work that is being committed.

    Raises:
        RequestTimeoutException: the deadline has passed; nothing may be committed.
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

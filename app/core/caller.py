"""The caller of the request or job that runs, in a context variable: whose own writes a read of a
replica has to see."""

from contextvars import ContextVar

_caller: ContextVar[int | None] = ContextVar("caller", default=None)


def identify_caller(user_id: int) -> None:
    """Make the user the caller of this request or job."""
    _caller.set(user_id)


def current_caller() -> int | None:
    """The user's id; None before authentication, and outside requests and jobs."""
    return _caller.get()

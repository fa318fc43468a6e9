"""`with_timeout`: a timeout that does not wait for the cancelled work to clean up."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

# The event loop itself holds tasks weakly.
_abandoned: set[asyncio.Future[Any]] = set()


async def with_timeout(seconds: float, work: Callable[[], Awaitable[T]]) -> T:
    """Await `work()` and return its result.

    Unlike `asyncio.timeout`, this does not wait for the clean-up of cancelled work: closing a
    connection to a silent server takes seconds.

    Raises:
        TimeoutError: the work did not end in time, and is cancelled.
    """
    task = asyncio.ensure_future(work())
    _abandoned.add(task)
    task.add_done_callback(_forget)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not task.done():
        task.cancel()
        raise TimeoutError
    return task.result()


def _forget(task: asyncio.Future[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # marks it as retrieved, which prevents a warning

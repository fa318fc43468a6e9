"""Waiting for so long and no longer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

# The event loop itself holds tasks weakly.
_abandoned: set[asyncio.Future[Any]] = set()


async def within(seconds: float, work: Callable[[], Awaitable[T]]) -> T:
    """What `work` gives. Like `asyncio.timeout`, but it does not wait for the clean-up of what it
    cancels: that of a connection to a server that swallows everything takes seconds.

    Raises:
        TimeoutError: it has not ended in time, and is cancelled.
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
        task.exception()  # looked at, so that nobody is told of what nobody waits for

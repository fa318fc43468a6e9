"""`within_async`: wait for a condition on the event loop."""

import asyncio
from collections.abc import Callable
from inspect import isawaitable

from app.embedded.polling import POLL, attempts


async def within_async(seconds: float, condition: Callable[[], object]) -> bool:
    """Poll `condition`, a function or a coroutine function; whether it became true in time."""
    for _ in attempts(seconds):
        result = condition()
        if await result if isawaitable(result) else result:
            return True
        await asyncio.sleep(POLL)
    return False

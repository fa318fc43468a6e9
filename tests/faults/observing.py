"""What the tests of faults look with."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def loop_lag() -> AsyncIterator[list[float]]:
    """Seconds by which the event loop was late, every 5 ms."""
    lags: list[float] = []

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            lags.append(time.perf_counter() - began - 0.005)

    watching = asyncio.create_task(watch())
    try:
        yield lags
    finally:
        watching.cancel()

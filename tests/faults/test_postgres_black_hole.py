"""R2: PostgreSQL behind a link that swallows everything, and 50 clients who keep asking."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import quantiles
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.conftest import Person, browsing, person
from tests.faults.conftest import DEADLINE, LATE
from tests.faults.observing import loop_lag
from tests.polling import within_async

# Unlike each other, so that both are met.
OWN = {"server": {"request_timeout": DEADLINE}, "database": {"pool_timeout": DEADLINE / 2}}


class Timed:
    """Tells when each answer began: in process, httpx waits until all is cleaned up as well."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.answers: list[tuple[int, float]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()

        async def observe(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answers.append((message["status"], time.monotonic() - began))
            await send(message)

        await self.app(scope, receive, observe)


@asynccontextmanager
async def fifty_clients(admin: Person) -> AsyncIterator[None]:
    """Who read and write while the block runs, and wait for what they asked for last."""
    over = asyncio.Event()

    async def live(n: int) -> None:
        await asyncio.sleep(n / 100)  # all of them at once would be a lag of the test's own
        while not over.is_set():
            if n % 5:
                await admin.get("/users/cursor")
            else:
                await admin.patch("/users/me", json={"full_name": f"Admin {n}"})
            await asyncio.sleep(0.1)

    living = [asyncio.create_task(live(n)) for n in range(50)]
    yield
    over.set()
    await asyncio.gather(*living)


async def test_every_answer_comes_in_time_and_nothing_is_left_behind(opening, record):
    async with opening(**OWN) as site:
        timed: Any = Timed(site.app)
        async with browsing(timed) as visitor:
            admin = await person(visitor, site.runtime, "admin", is_superuser=True)
            async with fifty_clients(admin):
                await asyncio.sleep(1)
            timed.answers.clear()

            site.proxy.freeze()
            async with loop_lag() as lags, fifty_clients(admin):
                await asyncio.sleep(2 * DEADLINE)
            answers, timed.answers = timed.answers, []
            live = await visitor.get("/health/live")
            ready = await visitor.get("/health/ready")
            site.proxy.thaw()
            is_clean = await site.becomes_clean(10)

            async def is_served() -> bool:
                return bool((await admin.get("/users")).status_code == 200)

            is_back = await within_async(10, is_served)

    statuses = Counter(status for status, _ in answers)
    slowest = max(seconds for _, seconds in answers)
    assert set(statuses) <= {503, 504}
    assert slowest < DEADLINE + LATE
    assert (live.status_code, ready.status_code) == (200, 503)
    late = quantiles(lags, n=100)
    assert late[89] < 0.1  # a tenth is the machine's: it may stand still
    assert is_clean
    assert is_back
    counts = f"{statuses[503]} × 503, {statuses[504]} × 504, the slowest after {slowest:.2f} s"
    seen = f"{counts}; event loop late by {late[98] * 1000:.0f} ms (p99); clean after the thaw"
    record("R2", "PostgreSQL black-holed, 50 clients", seen)

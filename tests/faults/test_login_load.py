"""R12 and decision 9: logins by the hundred leave memory and the event loop alone."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from statistics import median

import psutil
import pytest
from fastapi import FastAPI

from app.core.config import Settings
from tests.conftest import PASSWORD, browsing, running

pytestmark = pytest.mark.alone

LOGIN = "/api/v1/auth/login"
MIB = 2**20
CORES = 2


@pytest.fixture
async def of_two_cores(
    app, client, settings: Settings, costly: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FastAPI]:
    """With more cores nobody of two hundred would have to be refused."""
    monkeypatch.setattr(os, "cpu_count", lambda: CORES)
    async with running(settings) as small:
        yield small


async def test_two_hundred_logins_at_once_are_answered_within_bounded_memory(
    of_two_cores, ada, record
):
    visitors = [browsing(of_two_cores, f"198.51.100.{n}") for n in range(200)]
    process = psutil.Process()
    before = process.memory_info().rss
    peak = before

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, process.memory_info().rss)
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    answers = await asyncio.gather(
        *(
            visitor.post(LOGIN, json={"email": f"nobody{n}@example.com", "password": "wrong"})
            for n, visitor in enumerate(visitors)
        )
    )
    watching.cancel()

    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {401, 503}
    refusal = next(answer for answer in answers if answer.status_code == 503)
    assert refusal.json()["error"] == "service_unavailable"
    assert int(refusal.headers["retry-after"]) >= 1
    assert peak - before < (CORES * 25 + 50) * MIB
    await ada.login()
    counts = f"{statuses.count(401)} × 401, {statuses.count(503)} × 503"
    record("R12", "200 logins at once", f"{counts}; {(peak - before) / MIB:.0f} MiB more memory")


async def test_the_event_loop_stays_free_during_logins(app, client, ada, settings: Settings):
    lags: list[float] = []
    unlimited = settings.replaced(limiter={"enabled": False})
    async with running(unlimited) as busy:
        began = time.perf_counter()
        await busy.state.runtime.passwords.hash(PASSWORD)
        one_hash = time.perf_counter() - began
        ends = time.monotonic() + 3

        async def log_in() -> None:
            async with browsing(busy) as visitor:
                while time.monotonic() < ends:
                    credentials = {"email": ada.email, "password": PASSWORD}
                    assert (await visitor.post(LOGIN, json=credentials)).status_code == 200

        async def watch() -> None:
            while time.monotonic() < ends:
                began = time.perf_counter()
                await asyncio.sleep(0.005)
                lags.append(time.perf_counter() - began - 0.005)

        await asyncio.gather(watch(), *(log_in() for _ in range(10)))

    assert median(lags) < one_hash / 3  # on the loop, it would be a whole one or more

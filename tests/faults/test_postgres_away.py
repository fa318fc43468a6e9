"""R1: PostgreSQL stopped or crashed, and back again."""

import asyncio
import signal
import time

import pytest

from tests.conftest import PASSWORD
from tests.faults.conftest import DEADLINE, LATE
from tests.polling import within_async

LOGIN = "/api/v1/auth/login"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
async def test_it_says_so_meanwhile_and_serves_again_by_itself(site, visitor, admin, how, record):
    over = asyncio.Event()

    async def visits(n: int) -> None:
        while not over.is_set():
            if n % 2:
                await site.ask(admin, "GET", "/users")
            else:
                await site.ask(admin, "PATCH", "/users/me", json={"full_name": f"Admin {n}"})
            await asyncio.sleep(0.01)

    visiting = [asyncio.create_task(visits(n)) for n in range(10)]
    await asyncio.sleep(0.3)

    await site.postgres.stop(how)
    credentials = {"email": admin.email, "password": PASSWORD}
    login = await visitor.post(LOGIN, json=credentials)
    live = await visitor.get("/health/live")
    ready = await visitor.get("/health/ready")
    during = await admin.get("/users")
    await asyncio.sleep(0.5)
    returned = await site.postgres.start()

    async def is_served() -> bool:
        answers = [await admin.get("/users"), await visitor.get("/health/ready")]
        return {answer.status_code for answer in answers} == {200}

    assert await within_async(10, is_served)
    served_after = time.monotonic() - returned
    over.set()
    await asyncio.gather(*visiting)

    assert login.status_code == during.status_code == 503
    assert during.json()["error"] == "service_unavailable"
    assert during.headers["retry-after"]
    assert (live.status_code, ready.status_code) == (200, 503)
    assert set(site.statuses) == {200, 503}
    assert site.slowest < DEADLINE + LATE
    assert served_after < 3 + LATE
    assert await site.becomes_clean(5)
    name = "stopped" if how is signal.SIGINT else "crashed"
    record("R1", f"PostgreSQL {name}", f"{site.seen()}; served {served_after:.2f} s after return")

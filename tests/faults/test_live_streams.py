"""Streams of the overview on a real server: they take no request's place, and no stop waits for
them."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from tests.conftest import person
from tests.integration.test_live_stream import cookie, streaming
from tests.process import instance

STREAMS = 4
"""Of one session; as many as requests that are admitted."""
DEADLINE, DRAIN = 3.0, 1.0
SETTINGS = {
    "SERVER_MAX_REQUESTS": str(STREAMS),
    "SERVER_REQUEST_TIMEOUT": str(DEADLINE),
    "SERVER_DRAIN": str(DRAIN),
}


async def test_streams_hold_no_place_outlive_the_deadline_and_end_with_the_drain(
    servers, client, runtime, tmp_path: Path
):
    admin = await person(client, runtime, "admin", is_superuser=True)
    with instance(servers, tmp_path, None, **SETTINGS) as site:
        async with (
            httpx.AsyncClient(base_url=site.url, timeout=30) as browser,
            AsyncExitStack() as stack,
        ):
            admin.client = browser
            began = time.monotonic()
            opening = (streaming(browser, cookie(admin, runtime)) for _ in range(STREAMS))
            streams = [await stack.enter_async_context(one) for one in opening]
            answers = await asyncio.gather(*(admin.get("/users/me") for _ in range(STREAMS)))
            names: set[str] = set()
            while time.monotonic() - began < 2 * DEADLINE:
                names = {(await stream.event())[0] for stream in streams}

            site.process.send_signal(signal.SIGTERM)
            terminated = time.monotonic()
            for stream in streams:
                while (await stream.event())[0]:
                    pass
        code = await asyncio.to_thread(site.process.wait, 60)
        took = time.monotonic() - terminated

    assert [stream.response.status_code for stream in streams] == [200] * STREAMS
    assert [answer.status_code for answer in answers] == [200] * STREAMS
    assert names == {"overview"}
    assert took < DRAIN + 30
    assert code in {0, -signal.SIGTERM}
    assert "Traceback" not in site.log.read_text()

"""The live part of the overview as a stream: what is sent, and when it ends or is not to be had."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from prometheus_client import REGISTRY

from app.admin.live.stream import BEAT
from app.admin.services.overview import OverviewService
from app.admin.services.overview_feed import MAX_OF_SESSION, MAX_STREAMS, OverviewFeed
from app.core.middleware.access_log import AccessLog
from app.runtime import Runtime
from app.schemas.monitoring.user_statistics import Period
from tests.browser.serving import serving
from tests.conftest import Person, browsing, running

LIVE = "/api/v1/dashboard/live"
SOON = 10 * BEAT
"""Seconds for what takes a beat on an idle machine."""


def cookie(person: Person, runtime: Runtime) -> dict[str, str]:
    """Headers of an `EventSource` in a browser in which the person is logged in."""
    session_id = runtime.tokens.read(person.tokens["access_token"]).session_id
    token = runtime.tokens.sign(person.id, session_id, "page")
    return {"Accept": "text/event-stream", "Cookie": f"__Host-backend_session={token}"}


@pytest.fixture
async def browser(app, client) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(app) as url, httpx.AsyncClient(base_url=url, timeout=SOON) as browser:
        yield browser


@asynccontextmanager
async def streaming(
    browser: httpx.AsyncClient, headers: dict[str, str], url: str = LIVE
) -> AsyncIterator["Stream"]:
    async with browser.stream("GET", url, headers=headers) as response:
        yield Stream(response)


class Stream:
    """A stream that is read."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def event(self) -> tuple[str, str]:
        """Name and data of the next event, past comments; nothing at the end."""
        name, data = "", []
        async for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif not line and name:
                break
        return name, "\n".join(data)


@pytest.fixture
def mine(root, runtime) -> dict[str, str]:
    return cookie(root, runtime)


async def test_the_figures_follow_at_once_as_html_and_again_after_a_while(browser, mine):
    async with streaming(browser, mine, f"{LIVE}?period=7d") as stream:
        first, second = await stream.event(), await stream.event()

    headers = stream.response.headers
    assert headers["Content-Type"].startswith("text/event-stream")
    assert (headers["X-Accel-Buffering"], headers["Cache-Control"]) == ("no", "no-store")
    assert "Content-Encoding" not in headers
    for name, data in (first, second):
        assert name == "overview"
        assert "Everything is running" in data
        assert data.count('class="chart-catch"') == Period.WEEK.number + 1


async def test_it_ends_soon_after_the_session(browser, mine, root):
    async with streaming(browser, mine) as stream:
        await stream.event()
        await root.post("/auth/logout-all")

        async with asyncio.timeout(SOON):
            while (event := await stream.event()) != ("end", ""):
                assert event[0] == "overview"
            assert await stream.event() == ("", "")

    assert (await browser.get(LIVE, headers=mine)).status_code == 204


async def test_only_a_stream_is_refused_without_a_page(browser, mine):
    anonymous = {"Accept": "text/event-stream"}
    assert (await browser.get(LIVE, headers=anonymous)).status_code == 204
    assert (await browser.post("/api/v1/dashboard/logout", headers=anonymous)).status_code == 401
    assert (await browser.get("/api/v1/dashboard/none", headers=mine)).status_code == 404


async def test_it_ends_soon_after_a_logout_in_another_process(browser, mine, root, settings):
    async with (
        running(settings) as other,
        browsing(other) as elsewhere,
        streaming(browser, mine) as stream,
    ):
        await stream.event()
        root.client = elsewhere
        await root.post("/auth/logout")

        async with asyncio.timeout(SOON):
            while (await stream.event())[0] != "end":
                pass


async def test_it_ends_soon_after_the_permission(browser, root, ada, runtime):
    role = {"name": "watcher", "permissions": ["stats:read", "metrics:read"]}
    await root.post("/roles", json=role)
    await root.request("PUT", f"/users/{ada.id}/roles", json={"roles": ["watcher"]})

    async with streaming(browser, cookie(ada, runtime)) as stream:
        _, html = await stream.event()
        await root.request("PUT", f"/users/{ada.id}/roles", json={"roles": []})
        async with asyncio.timeout(SOON):
            while (await stream.event())[0] != "end":
                pass

    assert "Job queue" in html
    assert "/dashboard/jobs" not in html


async def test_a_session_has_few_streams_and_gets_another_one_after_one(browser, mine):
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(streaming(browser, mine))
        for _ in range(MAX_OF_SESSION - 1):
            await stack.enter_async_context(streaming(browser, mine))
        refused = await browser.get(LIVE, headers=mine)
        await first.response.aclose()

        async with asyncio.timeout(SOON):
            status = 204
            while status == 204:
                await asyncio.sleep(0.05)
                async with streaming(browser, mine) as stream:
                    status = stream.response.status_code

    assert (refused.status_code, status) == (204, 200)


async def test_an_ending_process_ends_its_streams_and_begins_none(
    browser, mine, runtime, monkeypatch
):
    async with streaming(browser, mine) as stream:
        await stream.event()
        monkeypatch.setattr(runtime.drain, "has_begun", True)

        async with asyncio.timeout(SOON):
            while (await stream.event())[0]:
                pass
    refused = await browser.get(LIVE, headers=mine)

    assert refused.status_code == 204


async def test_without_a_session_or_a_permission_there_is_none(browser, ada, runtime):
    stranger = await browser.get(LIVE, headers={"Accept": "text/event-stream"})
    plain = await browser.get(LIVE, headers=cookie(ada, runtime))

    assert (stranger.status_code, plain.status_code) == (204, 204)


@pytest.fixture
async def feed(runtime, root) -> OverviewFeed:
    return OverviewFeed(OverviewService(runtime), runtime.drain)


async def test_all_streams_share_one_read_of_the_figures(feed):
    month = [feed.subscribe(session, Period.MONTH) for session in range(3)]
    week = feed.subscribe("other", Period.WEEK)

    snapshots = [await one.next(SOON) for one in month]
    other = await week.next(SOON)

    assert snapshots[0] is not None
    assert snapshots[0] is snapshots[1] is snapshots[2]
    assert other.figures.at == snapshots[0].figures.at
    assert other.figures.sign_ups != snapshots[0].figures.sign_ups
    for one in (*month, week):
        feed.unsubscribe(one)


async def test_a_process_has_a_bounded_number_of_streams(feed):
    streams = [feed.subscribe(session, Period.MONTH) for session in range(MAX_STREAMS)]

    refused = feed.subscribe("one more", Period.MONTH)
    feed.unsubscribe(streams.pop())
    accepted = feed.subscribe("one more", Period.MONTH)

    assert refused is None
    assert accepted is not None
    for one in (*streams, accepted):
        feed.unsubscribe(one)


async def test_the_time_of_a_stream_is_no_latency():
    """What counts is the time until it began."""

    async def app(scope, receive, send):
        scope["state"]["answered_in"] = 7.0
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive():
        raise AssertionError

    async def send(_message):
        pass

    def counted() -> float:
        labels = {"method": "GET", "route": "unmatched"}
        return REGISTRY.get_sample_value("http_request_duration_seconds_sum", labels) or 0

    before = counted()
    scope = {"type": "http", "method": "GET", "path": "/", "state": {}}
    await AccessLog(app, on_refusal=lambda *_: None)(scope, receive, send)

    assert counted() - before == pytest.approx(7.0)

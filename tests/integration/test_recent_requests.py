"""The page of recent requests and errors."""

import re
from collections.abc import Awaitable, Callable
from html import unescape
from time import time
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.core.telemetry.ended_request import EndedRequest
from app.runtime import Runtime
from app.services.monitoring.recent_requests import SAMPLE_SIZES, TTL, RecentRequests
from tests.conftest import Person, browsing, running
from tests.integration.test_dashboard_page import PAGE, browser, log_in
from tests.integration.test_roles import give
from tests.polling import within_async
from tests.valkeys import ENCODED, one

__all__ = ["browser"]
REQUESTS = f"{PAGE}/requests"
ME, USER, NONE = "GET /api/v1/users/me", "GET /api/v1/users/{user_id}", "GET no route"
SECRET = "a-secret-that-nobody-may-read"


@pytest.fixture
def emptied(client, runtime: Runtime) -> Callable[[], Awaitable[RecentRequests]]:
    """Leaves no record, those of earlier tests included."""

    async def emptied() -> RecentRequests:
        recent: RecentRequests = runtime.recent_requests
        await recent.write()
        assert runtime.cache is not None
        if keys := await runtime.cache.redis.keys("*{requests}*"):
            await runtime.cache.redis.delete(*keys)
        return recent

    return emptied


@pytest.fixture
async def recent(emptied: Callable[[], Awaitable[RecentRequests]]) -> RecentRequests:
    """Those of the application, of which none are stored yet."""
    return await emptied()


@pytest.fixture
async def admin(recent, browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    """A browser in which a superuser is logged in."""
    await log_in(browser, root)
    return browser


def ended(**changed: Any) -> EndedRequest:
    request = EndedRequest(
        at=0.0,
        id="r",
        method="GET",
        route="/x",
        status=200,
        seconds=0.1,
        actor="anonymous",
        impersonator_id=None,
        waited={},
        queries=0,
    )
    return request._replace(**changed)


def rows(page: httpx.Response) -> list[str]:
    """The rows of the table, as text."""
    assert page.status_code == 200, page.text
    body = page.text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        " ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split())
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]


async def test_an_error_is_found_by_the_request_id_that_it_prints(admin, ada: Person):
    refused = await ada.get("/users/999999")
    page = await admin.get(REQUESTS, params={"id": refused.json()["request_id"]})

    (row,) = rows(page)
    assert row.startswith(f"403 GET /api/v1/users/{{user_id}} {refused.json()['request_id']} ")
    assert f" user:{ada.id} " in row


async def test_a_record_tells_where_the_time_went(admin, recent: RecentRequests, root: Person):
    response = await root.get("/users")
    (request,) = [
        one for one in await recent.newest() if one.id == response.headers["X-Request-ID"]
    ]

    assert request.queries >= 1
    assert 0 < request.waited["db"] < request.seconds
    assert 0 < request.waited["cache"] < request.seconds
    (row,) = rows(await admin.get(REQUESTS, params={"id": request.id}))
    assert re.search(r"database [\d.]+ ms in \d+ quer", row)
    assert "service" in row


async def test_neither_path_nor_query_nor_body_nor_header_is_recorded(
    recent: RecentRequests, runtime: Runtime, client: httpx.AsyncClient
):
    await client.post(
        f"/api/v1/users/{SECRET}?token={SECRET}&{SECRET}=1",
        json={"password": SECRET},
        headers={"Authorization": f"Bearer {SECRET}", "User-Agent": SECRET},
    )
    await client.get(f"/{SECRET}")
    await recent.write()

    assert runtime.cache is not None
    redis = runtime.cache.redis
    stored = [
        line for key in await redis.keys("*requests*") for line in await redis.lrange(key, 0, -1)
    ]
    assert len(stored) == 2
    assert not any(SECRET.encode() in line for line in stored)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=2xx&speed=&actor=", {ME}),
        ("status=4xx", {USER, NONE}),
        ("status=5xx", set()),
        ("speed=slow", set()),
        ("route=no+route", {NONE}),
        ("route=/api/v1/users/me", {ME}),
        ("route=/elsewhere", set()),
        ("actor=anonymous&status=4xx", {NONE}),
        ("actor=user:2&status=4xx", {USER}),
        ("actor=user:3", set()),
        ("id=unknown", set()),
    ],
)
async def test_the_filters_select_requests(
    admin, emptied, ada: Person, client, monkeypatch, query, found
):
    recent = await emptied()
    monkeypatch.setattr(recent, "slow_after", 3600.0)
    await ada.get("/users/me")
    await ada.get("/users/999999")
    await client.get("/nowhere")
    page = await admin.get(f"{REQUESTS}?{query}")

    assert {name for name in (ME, USER, NONE) for row in rows(page) if f" {name} " in row} == found
    assert len(rows(page)) == len(found)


@pytest.mark.parametrize("query", ["status=6xx", "speed=x", "actor=%00", "page=0", "unknown=1"])
async def test_an_invalid_filter_is_refused_as_a_page(admin, query):
    page = await admin.get(f"{REQUESTS}?{query}")

    assert page.status_code == 422
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"


async def test_what_operators_look_at_is_left_out_and_errors_of_pages_are_not(
    admin, recent: RecentRequests, root: Person
):
    overview = await admin.get(PAGE)
    (style,) = re.findall(r'href="(/static/[^"]+page.css)"', overview.text)
    await admin.get(style)
    await admin.get("/health/live")
    metrics = await root.get("/metrics/requests")
    missing = await admin.get(f"{PAGE}/users/999999")
    requests = await recent.newest()

    ids = {request.id for request in requests}
    assert missing.headers["X-Request-ID"] in ids
    assert not {overview.headers["X-Request-ID"], metrics.headers["X-Request-ID"]} & ids
    assert not {"/health/live", "/static/{version}/{name:path}"} & {one.route for one in requests}


async def test_the_page_of_an_error_leads_to_its_record(admin):
    error = await admin.get(f"{PAGE}/users/999999")
    (place,) = re.findall(r'href="([^"]+/requests\?id=[^"]+)"', error.text)

    (row,) = rows(await admin.get(place))
    assert f" {error.headers['X-Request-ID']} " in row


async def test_the_permission_opens_the_page_and_who_lacks_it_is_not_led_there(
    recent, browser: httpx.AsyncClient, root: Person, ada: Person
):
    role = await give(root, ada, "users:read")
    await log_in(browser, ada)
    error = await browser.get(f"{PAGE}/users/999999")
    refused = await browser.get(REQUESTS)
    both = {"permissions": ["users:read", "requests:read"]}
    await root.patch(f"/roles/{role['id']}", json=both)
    page = await browser.get(REQUESTS)

    assert (error.status_code, refused.status_code, page.status_code) == (404, 403, 200)
    assert "/requests" not in error.text
    assert len(rows(page)) > 0


async def test_older_requests_are_on_the_next_page(admin, ada: Person):
    for _ in range(30):
        await ada.get("/users/999999")
    first = await admin.get(f"{REQUESTS}?actor=user:{ada.id}&status=4xx")
    (older,) = re.findall(r'rel="next" href="([^"]+)"', first.text)
    second = await admin.get(unescape(older))

    assert (len(rows(first)), len(rows(second))) == (25, 5)
    assert "30 requests of the last 24 hours" in first.text


async def test_a_failure_and_a_slow_request_are_of_the_kind_of_which_most_are_stored(recent):
    assert recent.kind_of(ended(status=503)) == "failed"
    assert recent.kind_of(ended(seconds=recent.slow_after)) == "slow"
    assert recent.kind_of(ended(seconds=recent.slow_after, status=401)) == "slow"
    assert recent.kind_of(ended(status=429)) == "refused"
    assert recent.kind_of(ended(status=304)) == "answered"


async def test_a_flood_is_sampled_errors_last_and_the_page_says_so(
    admin, emptied, recent: RecentRequests
):
    await emptied()
    for number in range(1000):
        recent.add(ended(at=time(), id=f"ok-{number}", status=200))
        recent.add(ended(at=time(), id=f"bad-{number}", status=500))
    page = await admin.get(REQUESTS)
    stored = await recent.newest()

    failed = [one for one in stored if one.status == 500]
    answered = [one for one in stored if one.id.startswith("ok-")]
    assert (len(failed), len(answered)) == (SAMPLE_SIZES["failed"], SAMPLE_SIZES["answered"])
    assert {one.stands_for for one in failed} == {10.0}
    assert {one.stands_for for one in answered} == {50.0}
    assert len({int(one.id.removeprefix("ok-")) // 100 for one in answered}) > 3  # not the first
    assert "those that failed, about one in 10.0 is shown" in page.text


async def test_a_slow_one_is_found_and_a_line_of_another_program_is_passed_over(
    admin, emptied, runtime: Runtime
):
    recent = await emptied()
    recent.add(ended(at=time(), id="slow", seconds=recent.slow_after))
    await recent.write()
    assert runtime.cache is not None
    (key,) = await runtime.cache.redis.keys("*{requests}*:slow")
    await runtime.cache.redis.lpush(key, b'["not", "a record"]', b"{")

    page = await admin.get(f"{REQUESTS}?speed=slow&id=slow")

    assert page.status_code == 200
    assert len(rows(page)) == 1


async def test_the_lists_are_bounded_and_end(recent: RecentRequests, runtime: Runtime):
    small = RecentRequests(
        runtime.cache, runtime.settings.telemetry.model_copy(update={"recent_requests": 3})
    )
    for number in range(5):
        small.add(ended(at=time(), id=str(number)))
        await small.write()
    small.add(ended(at=time() - TTL, id="old"))
    stored = await small.newest()

    assert runtime.cache is not None
    (key,) = await runtime.cache.redis.keys("*{requests}*")
    assert await runtime.cache.redis.llen(key) == 3
    assert 0 < await runtime.cache.redis.ttl(key) <= TTL
    assert [one.id for one in stored] == ["4", "3"]


async def test_every_process_shows_the_requests_of_all(recent: RecentRequests, runtime: Runtime):
    another = RecentRequests(runtime.cache, runtime.settings.telemetry)
    another.add(ended(at=time(), id="of-another"))
    await another.write()

    assert [one.id for one in await recent.newest()] == ["of-another"]


async def test_a_record_that_was_written_twice_is_shown_once(recent: RecentRequests):
    request = ended(at=time(), id="twice")
    for _ in range(2):
        recent.add(request)
        await recent.write()

    assert [one.id for one in await recent.newest()] == ["twice"]


async def test_without_redis_the_page_says_so_and_requests_are_stored_later(settings, root: Person):
    async with one() as valkey:
        url = SecretStr(f"redis://:{ENCODED}@{valkey.place}/0")
        own = settings.replaced(cache={"redis_url": url})
        async with running(own) as app, browsing(app) as browser:
            browser.base_url = httpx.URL("https://test")
            await log_in(browser, root)
            valkey.kill()
            refused = await browser.get("/api/v1/users/me")
            page = await browser.get(REQUESTS)
            valkey.start()
            assert await within_async(10, valkey.answers)
            assert await within_async(10, lambda: closed(app))
            shown = await browser.get(f"{REQUESTS}?id={refused.headers['X-Request-ID']}")

    assert (refused.status_code, page.status_code) == (401, 200)
    assert "Redis does not answer, so recent requests cannot be shown" in page.text
    assert len(rows(shown)) == 1


async def closed(app: FastAPI) -> bool:
    runtime: Runtime = app.state.runtime
    return runtime.cache is not None and not runtime.cache.is_open


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"telemetry": {"recent_requests": 0}}, "TELEMETRY_RECENT_REQUESTS is 0"),
        ({"cache": {"enabled": False}}, "there is no Redis for the cache"),
    ],
)
async def test_what_is_switched_off_records_nothing(settings, root: Person, changed, reason):
    async with running(settings.replaced(**changed)) as app, browsing(app) as browser:
        browser.base_url = httpx.URL("https://test")
        await log_in(browser, root)
        page = await browser.get(REQUESTS)
        stored = await app.state.runtime.recent_requests.newest()

    assert f"No requests are recorded: {reason}" in page.text
    assert stored == []

"""The admin page while Redis or the database is away: it is what an admin looks at then."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from pydantic import SecretStr

from app.core.config import Settings
from app.runtime import Runtime
from tests.conftest import Servers, browsing, person, running
from tests.polling import within_async
from tests.tcp_proxy import TcpProxy, proxied

PAGE = "/api/v1/dashboard"


@dataclass
class Desk:
    """An admin's browser at the overview, and the proxies behind what they look at."""

    browser: httpx.AsyncClient
    runtime: Runtime
    postgres: TcpProxy
    redis: TcpProxy

    async def look(self) -> str:
        """What the page says, markup and all, within a few seconds."""
        began = time.monotonic()
        page = await self.browser.get(PAGE)
        assert page.status_code == 200, page.text
        assert time.monotonic() - began < 8
        return page.text


@pytest.fixture
async def desk(
    client, settings: Settings, servers: Servers, impatient: None
) -> AsyncIterator[Desk]:
    async with proxied(servers.postgres) as postgres, proxied(servers.redis) as redis:
        redis_url = SecretStr(redis.url)
        through = settings.replaced(
            database={"url": SecretStr(postgres.url)},
            cache={"redis_url": redis_url},
            limiter={"redis_url": redis_url},
            server={"request_timeout": 8.0},
        )
        async with desk_on(through, postgres, redis) as desk:
            yield desk


@asynccontextmanager
async def desk_on(settings: Settings, postgres: TcpProxy, redis: TcpProxy) -> AsyncIterator[Desk]:
    async with running(settings) as app, browsing(app) as browser:
        browser.base_url = httpx.URL("https://test")
        root = await person(browser, app.state.runtime, "root", is_superuser=True)
        runtime = app.state.runtime
        session_id = runtime.tokens.read(root.tokens["access_token"]).session_id
        browser.cookies["__Host-backend_session"] = runtime.tokens.sign(root.id, session_id, "page")
        yield Desk(browser, runtime, postgres, redis)


def figure(page: str, name: str) -> str:
    (found,) = re.findall(rf'data-figure="{name}">([^<]*)<', page)
    return str(found)


def verdict(page: str) -> str:
    (found,) = re.findall(r"data-verdict>(.*?)</div>", page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found).split())


async def test_while_all_is_well_it_says_so(desk):
    page = await desk.look()

    assert verdict(page) == "Everything is running"
    assert figure(page, "total_users") == "2"  # the first superuser too
    assert "As of" not in page


@pytest.mark.parametrize("fault", ["close", "freeze"])
async def test_without_redis_figures_are_new_and_it_says_since_when(desk, fault):
    await desk.look()

    getattr(desk.redis, fault)()
    page = await desk.look()

    assert re.match(
        r"Redis has been unreachable since \d\d:\d\d UTC \(.+\): responses", verdict(page)
    )
    assert figure(page, "total_users") == "2"  # the first superuser too
    # Only the traffic of 24 hours is old: Redis has it.
    assert page.count("As of") == page.count('class="sparks is-stale"') == 1


@pytest.mark.parametrize("fault", ["close", "freeze"])
async def test_without_the_database_the_last_figures_are_marked_as_old(desk, fault):
    await desk.look()
    await desk.runtime.cache.redis.flushdb()  # neither figures nor who is behind the cookie

    getattr(desk.postgres, fault)()
    page = await desk.look()

    assert re.match(r"The database has been unreachable since \d\d:\d\d UTC \(", verdict(page))
    assert figure(page, "total_users") == "2"  # the first superuser too
    assert page.count("As of") == 3  # users, sign-ups, queue and mails
    assert 'class="cards is-stale"' in page


async def test_with_all_of_it_away_the_page_is_still_there(desk):
    await desk.look()

    desk.postgres.close()
    desk.redis.close()
    page = await desk.look()

    assert "The database has been unreachable" in verdict(page)
    assert "Redis has been unreachable" in verdict(page)
    assert figure(page, "total_users") == "2"  # the first superuser too


async def test_the_moment_it_began_stays_and_goes_when_it_is_over(desk):
    await desk.look()
    desk.redis.close()
    first = verdict(await desk.look())
    since = desk.runtime.health.failing_since("cache")

    again = verdict(await desk.look())
    still = desk.runtime.health.failing_since("cache")
    await desk.redis.open()

    async def is_over() -> bool:
        return bool(verdict(await desk.look()) == "Everything is running")

    assert (first, since) == (again, still)
    assert await within_async(5, is_over)
    assert desk.runtime.health.failing_since("cache") is None


async def test_no_new_session_is_accepted_without_the_database(desk):
    desk.postgres.close()

    page = await desk.browser.get(PAGE)

    assert page.status_code == 503
    assert page.headers["Retry-After"]
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Temporarily unavailable" in page.text


@pytest.mark.parametrize("fault", ["close", "freeze"])
async def test_without_the_database_nothing_but_the_overview_is_shown(desk, fault):
    """S3: whoever was let in before looks at no user meanwhile."""
    await desk.look()
    await desk.runtime.cache.redis.flushdb()
    getattr(desk.postgres, fault)()

    users, export, live = await asyncio.gather(
        *(desk.browser.get(f"{PAGE}{view}") for view in ("/users", "/users/export", "/live"))
    )

    assert {users.status_code, export.status_code} <= {503, 504}
    assert "<td" not in users.text
    assert export.headers["Content-Type"].startswith("text/html")
    assert live.status_code == 200


async def test_an_outage_allows_reading_and_no_changes(desk):
    page = await desk.look()
    (token,) = set(re.findall(r'name="csrf" value="([^"]+)"', page))
    await desk.runtime.cache.redis.flushdb()
    desk.postgres.close()

    refused = await desk.browser.post(f"{PAGE}/logout", data={"csrf": token})

    assert refused.status_code == 503
    assert "Overview" in await desk.look()


async def test_a_session_that_ended_does_not_look_on(desk):
    await desk.look()
    (session_id,) = {p.session_id for p in desk.runtime.page_sessions._seen.values()}

    await desk.runtime.principals.end_sessions([session_id])
    desk.postgres.close()

    assert "Your session has ended" in await desk.look()

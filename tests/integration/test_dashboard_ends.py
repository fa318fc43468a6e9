"""S3: whose session has ended sees nothing of the admin page, however slow the database is."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.runtime import Runtime
from app.services.principals import PrincipalCache
from tests.conftest import PASSWORD, Person, browsing, person, running

PAGE = "/api/v1/dashboard"
VIEWS = (PAGE, f"{PAGE}/live", f"{PAGE}/users", f"{PAGE}/users/export", f"{PAGE}/users/1")


@pytest.fixture(scope="module")
async def hasty_app(app, settings) -> AsyncIterator[FastAPI]:
    """With a deadline of three seconds, which a view that waits for the database comes to."""
    async with running(settings.replaced(server={"request_timeout": 3.0})) as hasty:
        yield hasty


@pytest.fixture
def hasty(hasty_app: FastAPI) -> Runtime:
    runtime: Runtime = hasty_app.state.runtime
    return runtime


@pytest.fixture
async def eve(client, hasty_app, hasty) -> AsyncIterator[Person]:
    """A superuser whose browser has a cookie of a session of its own, and was let in by it."""
    hasty.page_sessions._seen.clear()  # of other tests
    async with browsing(hasty_app) as browser:
        browser.base_url = httpx.URL("https://test")
        eve = await person(browser, hasty, "eve", is_superuser=True)
        session_id = hasty.tokens.read(eve.tokens["access_token"]).session_id
        cookie = hasty.tokens.sign(eve.id, session_id, "page")
        browser.cookies["__Host-backend_session"] = cookie
        assert (await browser.get(PAGE)).status_code == 200
        yield eve


@asynccontextmanager
async def slow_database(runtime: Runtime) -> AsyncIterator[None]:
    """Sessions cannot be looked up, and Redis knows nothing any more."""
    async with runtime.engine.connect() as connection:
        await connection.execute(text("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"))
        assert runtime.cache is not None
        await runtime.cache.redis.flushdb()
        try:
            yield
        finally:
            await connection.rollback()


async def seen(browser: httpx.AsyncClient) -> list[httpx.Response]:
    return await asyncio.gather(*(browser.get(view) for view in VIEWS))


CHANGE = {"current_password": PASSWORD, "new_password": f"{PASSWORD}!"}
ENDINGS: dict[str, Callable[[Person, Person, Person], Awaitable[httpx.Response]]] = {
    "logout": lambda eve, _, __: eve.post("/auth/logout"),
    "logout-all": lambda eve, _, __: eve.post("/auth/logout-all"),
    "deactivation": lambda eve, _, root: root.patch(f"/users/{eve.id}", json={"is_active": False}),
    "demotion": lambda eve, _, root: root.patch(f"/users/{eve.id}", json={"is_superuser": False}),
    "password": lambda _, phone, __: phone.post("/auth/password", json=CHANGE),
    "deletion": lambda eve, _, root: root.delete(f"/users/{eve.id}"),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_an_ended_session_shows_nothing_while_the_database_is_slow(hasty, eve, ending):
    """S3: slow is not away, and an end is known in the process."""
    root, phone = await person(eve.client, hasty, "root", is_superuser=True), Person(**vars(eve))
    await phone.login()
    assert (await ENDINGS[ending](eve, phone, root)).is_success

    async with slow_database(hasty):
        answers = await seen(eve.client)

    assert {answer.status_code for answer in answers} <= {503, 504}
    for answer in answers:
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "root@example.com" not in answer.text
    assert not hasty.page_sessions._seen
    # Whoever was demoted stays logged in, to their own account.
    shown = "may not use these pages" if ending == "demotion" else f'action="{PAGE}/login"'
    for answer in await seen(eve.client):
        assert shown in answer.text


async def test_a_slow_database_is_no_outage_and_the_page_says_when_to_try_again(hasty, eve):
    """S3: who is let in still is told so too, and sees the page when it is fast again."""
    async with slow_database(hasty):
        # Alone: several that wait at once fill a small pooler, before which nobody can tell.
        overview = await eve.client.get(PAGE)

    assert overview.status_code == 503
    assert int(overview.headers["Retry-After"]) >= 1
    assert "Temporarily unavailable" in overview.text
    assert {answer.status_code for answer in await seen(eve.client)} == {200}


async def test_a_lookup_begun_before_the_session_ended_is_not_cached(hasty, eve, monkeypatch):
    """S3: a look-up under way while the session ends does not bring it back."""
    reached, go_on = asyncio.Event(), asyncio.Event()
    original = PrincipalCache.fill

    async def fill(self, *arguments) -> None:
        reached.set()
        await go_on.wait()
        await original(self, *arguments)

    await hasty.cache.redis.flushall()
    monkeypatch.setattr(PrincipalCache, "fill", fill)
    visit = asyncio.create_task(eve.client.get(PAGE))
    await reached.wait()
    monkeypatch.setattr(PrincipalCache, "fill", original)
    assert (await eve.post("/auth/logout")).status_code == 204

    go_on.set()

    assert (await visit).status_code == 200  # it came before the end
    assert not hasty.page_sessions._seen

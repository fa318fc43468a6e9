"""C1: a refresh token that comes twice, by two tabs or because an answer got lost, logs nobody out;
one that comes back later than that does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.runtime import Runtime
from tests.conftest import Person, browsing, running
from tests.integration.test_sessions import pass_time, refreshed, row, session_id
from tests.process import instance


async def exchanged(client: httpx.AsyncClient, token: str) -> str:
    response = await refreshed(client, token)
    assert response.status_code == 200, response.text
    new: str = response.json()["refresh_token"]
    return new


async def is_live(runtime: Runtime, person: Person) -> bool:
    ended_at = (await row(runtime, session_id(person))).ended_at
    assert (ended_at is None) == ((await person.get("/users/me")).status_code == 200)
    return ended_at is None


async def grace_passes(runtime: Runtime) -> None:
    async with runtime.session_maker() as db:
        seconds = {"seconds": runtime.settings.auth.refresh_grace + 1}
        shifted = "rotated_at - make_interval(secs => :seconds)"
        await db.execute(text(f"UPDATE sessions SET rotated_at = {shifted}"), seconds)
        await db.commit()


async def test_two_tabs_that_refresh_at_once_both_stay_logged_in(client, runtime, ada):
    """C1: each has a pair whose access token works; one of the two refresh tokens holds."""
    token = ada.tokens["refresh_token"]

    answers = await asyncio.gather(*(refreshed(client, token) for _ in range(2)))

    assert [answer.status_code for answer in answers] == [200, 200]
    for answer in answers:
        ada.tokens = answer.json()
        assert (await ada.get("/users/me")).status_code == 200
    again = [await refreshed(client, answer.json()["refresh_token"]) for answer in answers]
    assert sorted(answer.status_code for answer in again) == [200, 401]
    assert await is_live(runtime, ada)


@pytest.fixture(scope="module")
def urls(servers, app, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Two real processes."""
    folder = tmp_path_factory.mktemp("instances")
    with instance(servers, folder) as one, instance(servers, folder) as other:
        yield [one.url, other.url]


async def test_twenty_at_once_over_two_processes_leave_one_chain(client, urls, runtime, ada):
    """C1: all are answered with a pair, and of the twenty refresh tokens one holds."""
    token = ada.tokens["refresh_token"]
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
            for url in urls
        ]
        answers = await asyncio.gather(*(refreshed(each, token) for each in processes * 10))
        await runtime.cache.redis.flushall()  # the session's limit of refreshes
        again = [await refreshed(processes[0], a.json()["refresh_token"]) for a in answers]

    assert [answer.status_code for answer in answers] == [200] * 20
    assert len({answer.json()["refresh_token"] for answer in answers}) == 20
    for answer in answers:
        ada.tokens = answer.json()
        assert (await ada.get("/users/me")).status_code == 200
    assert sorted(answer.status_code for answer in again) == [200] + [401] * 19
    assert await is_live(runtime, ada)


async def test_an_answer_that_got_lost_is_repeated_however_much_later(client, runtime, ada):
    """C1: while what it held has not been used; that is void from then on."""
    first = ada.tokens["refresh_token"]
    lost = await exchanged(client, first)
    await grace_passes(runtime)

    second = await exchanged(client, first)

    assert second != lost
    await exchanged(client, second)
    assert await is_live(runtime, ada)


async def test_a_repeat_does_not_renew_the_grace(client, runtime, ada):
    """C1: a thief who repeats a used token again and again would keep the owner's use of what was
    given for it from ending the session."""
    stolen = ada.tokens["refresh_token"]
    owners = await exchanged(client, stolen)
    await grace_passes(runtime)
    await exchanged(client, stolen)

    assert (await refreshed(client, owners)).status_code == 401
    assert not await is_live(runtime, ada)


async def test_a_repeat_moves_the_end_of_a_session_and_not_past_the_absolute_one(
    client, app, settings, runtime, ada
):
    """C1: a repeat is a use of the session as any other."""
    brief = settings.replaced(auth={"refresh_ttl": 100, "session_ttl": 150})
    async with running(brief) as brief_app, browsing(brief_app) as guest:
        ada.client = guest
        first = (await ada.login())["refresh_token"]
        ends = []
        for seconds in (30, 60, 30):
            await exchanged(guest, first)
            session = await row(runtime, session_id(ada))
            ends.append((session.expires_at - session.created_at).total_seconds())
            await pass_time(runtime, seconds)
            async with runtime.session_maker() as db:
                unmoved = f"rotated_at = rotated_at - interval '{seconds} seconds'"
                await db.execute(text(f"UPDATE sessions SET {unmoved}"))
                await db.commit()
        assert ends == pytest.approx([100, 130, 150], abs=2)
        await pass_time(runtime, 31)
        assert (await refreshed(guest, first)).status_code == 401


async def chain(client: httpx.AsyncClient, ada: Person, length: int) -> list[str]:
    """Tokens, each exchanged for the next; the last has not been used."""
    tokens = [ada.tokens["refresh_token"]]
    for _ in range(length):
        tokens.append(await exchanged(client, tokens[-1]))
    return tokens


@pytest.mark.parametrize("later", [False, True], ids=["within the grace", "after it"])
@pytest.mark.parametrize(("length", "which"), [(2, 0), (3, 0), (3, 1)])
async def test_an_older_token_that_was_used_ends_the_session(
    client, runtime, ada, length, which, later
):
    """C1: what it was exchanged for has been used, so that no answer got lost."""
    tokens = await chain(client, ada, length)
    if later:
        await grace_passes(runtime)

    assert (await refreshed(client, tokens[which])).status_code == 401

    assert not await is_live(runtime, ada)
    for token in tokens:
        assert (await refreshed(client, token)).status_code == 401


async def voided(client: httpx.AsyncClient, ada: Person, *, is_used: bool) -> tuple[str, str]:
    """A token that lost against a repeat, and the one that holds: the winner, or what that was
    exchanged for."""
    first = ada.tokens["refresh_token"]
    loser, winner = [await exchanged(client, first) for _ in range(2)]
    return loser, await exchanged(client, winner) if is_used else winner


@pytest.mark.parametrize("is_used", [False, True], ids=["beside it", "one further"])
async def test_a_void_successor_is_only_refused_within_the_grace(client, runtime, ada, is_used):
    """C1: a slow tab has it; the session lives."""
    loser, holds = await voided(client, ada, is_used=is_used)

    assert (await refreshed(client, loser)).status_code == 401

    assert await is_live(runtime, ada)
    await exchanged(client, holds)


@pytest.mark.parametrize("is_used", [False, True], ids=["beside it", "one further"])
async def test_a_void_successor_ends_the_session_after_the_grace(client, runtime, ada, is_used):
    """C1: two have the session by now, and one of them may have stolen it."""
    loser, holds = await voided(client, ada, is_used=is_used)
    await grace_passes(runtime)

    assert (await refreshed(client, loser)).status_code == 401

    assert not await is_live(runtime, ada)
    assert (await refreshed(client, holds)).status_code == 401


async def test_a_void_successor_of_two_generations_ago_ends_the_session(client, runtime, ada):
    """C1: the grace is for a race, and that one is long over."""
    loser, holds = await voided(client, ada, is_used=True)
    await exchanged(client, holds)

    assert (await refreshed(client, loser)).status_code == 401

    assert not await is_live(runtime, ada)


@pytest.fixture(scope="module")
async def strict_app(app, settings) -> AsyncIterator[Any]:
    async with running(settings.replaced(auth={"refresh_grace": 0})) as strict:
        yield strict


async def test_without_a_grace_a_void_successor_ends_the_session_at_once(
    strict_app, client, runtime, ada
):
    """C1: `AUTH_REFRESH_GRACE=0`; a lost answer may be repeated all the same."""
    async with browsing(strict_app) as strict:
        loser, _ = await voided(strict, ada, is_used=False)

        assert (await refreshed(strict, loser)).status_code == 401

    assert not await is_live(runtime, ada)


async def test_a_session_that_ended_is_not_repeated(client, runtime, ada):
    """C1: a repeat asks the session like any other use."""
    first = ada.tokens["refresh_token"]
    await exchanged(client, first)
    await ada.post("/auth/logout")
    before = await row(runtime, session_id(ada))

    assert (await refreshed(client, first)).status_code == 401
    assert await row(runtime, session_id(ada)) == before
    assert before.expires_at - before.created_at >= timedelta(days=1)

"""GET /dashboard/stats: correct, cached for a minute, for superusers only."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from pydantic_core import to_json
from sqlalchemy import event

from app.core.cache import Entry, invalidate_cache
from app.runtime import Runtime
from tests.conftest import browsing, person, recorded, running

STATS = "/dashboard/stats"
FIELDS = {
    "total_users",
    "active_users",
    "inactive_users",
    "superusers",
    "new_users_today",
    "new_users_week",
    "timestamp",
}


def counts(statements: list[str]) -> list[str]:
    """Those that count users, and not those that ask who calls."""
    return [statement for statement in statements if "count(*)" in statement]


async def test_it_has_exactly_the_seven_figures(root, ada, bob):
    await root.patch(f"/users/{bob.id}", json={"is_active": False})

    response = await root.get(STATS)

    assert response.status_code == 200
    stats = response.json()
    moment = datetime.fromisoformat(stats.pop("timestamp"))
    assert moment.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
    assert stats == {
        "total_users": 3,
        "active_users": 2,
        "inactive_users": 1,
        "superusers": 1,
        "new_users_today": 3,
        "new_users_week": 3,
    }


async def test_the_second_answer_is_the_first_without_a_query(root, client, runtime, statements):
    first = await root.get(STATS)
    await person(client, runtime, "eve")
    statements.clear()

    second = await root.get(STATS)

    assert statements == []
    assert second.content == first.content
    assert first.headers["X-FastAPI-Cache"] == "MISS"
    assert second.headers["X-FastAPI-Cache"] == "HIT"


async def test_it_is_cached_for_sixty_seconds(root, runtime):
    first = await root.get(STATS)

    second = await root.get(STATS)

    assert first.headers["Cache-Control"] == "private, max-age=60"
    assert second.headers["Cache-Control"] in {"private, max-age=60", "private, max-age=59"}
    (key,) = await runtime.cache.redis.keys("*:{answer}:*")
    assert key == b"myapi:cache:{answer}:get_dashboard_stats:"
    assert 58 <= await runtime.cache.redis.ttl(key) <= 60


async def test_proxies_and_browsers_keep_callers_apart(root):
    response = await root.get(STATS)

    assert "Authorization" in response.headers["Vary"]
    assert "RateLimit" in response.headers


async def test_a_matching_etag_is_a_304(root, ada):
    first = await root.get(STATS)
    etag = first.headers["ETag"]

    for sent in (etag, f'"other", {etag}', etag.removeprefix("W/"), "*"):
        known = await root.client.get(
            f"/api/v1{STATS}",
            headers={
                "Authorization": f"Bearer {root.tokens['access_token']}",
                "If-None-Match": sent,
            },
        )
        assert (known.status_code, known.content) == (304, b"")
        assert known.headers["ETag"] == etag
        assert known.headers["Cache-Control"].startswith("private, max-age=")


async def test_another_content_has_another_etag(root, client, runtime):
    first = await root.get(STATS)
    await person(client, runtime, "eve")
    await invalidate_cache("get_dashboard_stats*")

    second = await root.get(STATS)

    assert second.headers["X-FastAPI-Cache"] == "MISS"
    assert second.headers["ETag"] != first.headers["ETag"]
    assert second.json()["total_users"] == first.json()["total_users"] + 1


async def test_to_forget_answers_leaves_the_rest_of_redis_alone(root, ada, runtime):
    await root.get(STATS)
    await ada.post("/auth/logout")
    before = set(await runtime.cache.redis.keys("*"))

    count = await invalidate_cache("*")

    assert count == 1
    gone = before - set(await runtime.cache.redis.keys("*"))
    assert gone == {b"myapi:cache:{answer}:get_dashboard_stats:"}
    assert (await ada.get("/users/me")).status_code == 401


async def test_a_cached_response_is_for_superusers_only(root, ada, client):
    await root.get(STATS)

    assert (await ada.get(STATS)).status_code == 403
    assert (await client.get(f"/api/v1{STATS}")).status_code == 401
    await root.post("/auth/logout")
    assert (await root.get(STATS)).status_code == 401


async def test_fifty_who_miss_at_once_run_one_query(root, statements):
    await root.get("/users/me")
    statements.clear()

    answers = await asyncio.gather(*(root.get(STATS) for _ in range(50)))

    assert len(counts(statements)) == 1
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert [answer.headers["X-FastAPI-Cache"] for answer in answers].count("MISS") == 1


async def cached_stats(process: Runtime) -> Entry:
    """As `GET /dashboard/stats` in a process of its own."""

    async def compute() -> bytes:
        return to_json(await process.user_statistics.get_dashboard_stats_optimized())

    return await process.results.get_or_compute("get_dashboard_stats:", 60, compute)


async def test_two_processes_who_miss_at_once_run_one_query(client, settings, runtime, statements):
    async with running(settings) as other:
        with recorded(other.state.runtime) as sent_there:
            statements.clear()

            entries = await asyncio.gather(
                *(cached_stats(process) for process in (runtime, other.state.runtime) * 5)
            )

    assert len(counts(statements) + counts(sent_there)) == 1
    assert len({entry.body for entry in entries}) == 1


async def test_a_failed_count_is_not_cached_and_delays_no_other_caller(root, runtime):
    await root.get("/users/me")
    engine = runtime.engine.sync_engine
    failures = iter([True])

    def fail(connection, cursor, statement, parameters, context, executemany):
        if next(failures, False):
            return "SELECT 1/0", ()
        return statement, parameters

    event.listen(engine, "before_cursor_execute", fail, retval=True)
    try:
        answers = await asyncio.gather(*(root.get(STATS) for _ in range(10)))
    finally:
        event.remove(engine, "before_cursor_execute", fail)

    assert sorted(answer.status_code >= 400 for answer in answers) == [False] * 9 + [True]


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


async def test_it_can_be_switched_off(root, settings, stack, client, runtime):
    off = await stack.enter_async_context(running(settings.replaced(cache={"enabled": False})))
    root.client = await stack.enter_async_context(browsing(off))
    first = await root.get(STATS)
    await person(client, runtime, "eve")

    second = await root.get(STATS)

    assert second.json()["total_users"] == first.json()["total_users"] + 1
    assert second.headers["Cache-Control"] == "no-store"
    assert "X-FastAPI-Cache" not in second.headers


async def test_without_redis_it_is_computed_each_time(root, settings, stack):
    nowhere = settings.replaced(cache={"redis_url": SecretStr("redis://127.0.0.1:1/0")})
    without = await stack.enter_async_context(running(nowhere))
    root.client = await stack.enter_async_context(browsing(without))

    with recorded(without.state.runtime) as sent:
        answers = [await root.get(STATS) for _ in range(2)]

    assert {answer.status_code for answer in answers} == {200}
    assert len(counts(sent)) == 2


async def test_two_superusers_and_a_plain_user_never_get_what_is_anothers(client, runtime):
    names = {"root": True, "boss": True, "ada": False}
    people = [await person(client, runtime, n, is_superuser=s) for n, s in names.items()]
    stats = await people[0].get(STATS)

    async def alternate(somebody) -> None:
        for _ in range(350):
            me = await somebody.get("/users/me")
            profile = await somebody.get(f"/users/{somebody.id}")
            shown = await somebody.get(STATS)

            assert me.json()["email"] == profile.json()["email"] == somebody.email
            if me.json()["is_superuser"]:
                assert shown.content == stats.content
            else:
                assert shown.status_code == 403

    await asyncio.gather(*(alternate(somebody) for somebody in people))

"""C20: a hundred thousand sessions of one user are listed by the page, ended, and purged."""

import asyncio
import tracemalloc
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.runtime import Runtime
from app.services import base
from app.services.idempotency import IdempotencyService
from tests.conftest import Person
from tests.faults.observing import loop_lag
from tests.integration.test_sessions import pass_time, purged, refreshed, row, session_id

MANY = 100_000
LATE = 0.2
"""Seconds that the event loop may stand still on a machine that does so at times. It takes 4 ms; to
name all of them took 0.7 s."""
ANSWERS = "user_id, operation, key, fingerprint, status, body, created_at"


@pytest.fixture
async def many(runtime: Runtime, ada: Person) -> Person:
    """Ada, logged in nearly everywhere, last of all here."""
    async with runtime.session_maker() as db:
        insert = """
            INSERT INTO sessions (id, user_id, refresh_hash, created_at, last_seen_at, expires_at)
            SELECT gen_random_uuid(), user_id, '', now() - n * interval '1 second',
                   now() - n * interval '1 second', expires_at
            FROM sessions, generate_series(1, :many) AS n WHERE id = :id
        """
        await db.execute(text(insert), {"many": MANY - 1, "id": session_id(ada)})
        await db.commit()
    return ada


async def test_sessions_are_listed_by_the_page(many, root):
    """C20: in order, with how many there are, and no more than a hundred at once."""
    for path, somebody in (("/auth/sessions", many), (f"/users/{many.id}/sessions", root)):
        first = (await somebody.get(path)).json()
        second = (await somebody.get(path, params={"page": 2, "size": 100})).json()
        last = (await somebody.get(path, params={"page": 1000, "size": 100})).json()
        behind = (await somebody.get(path, params={"page": 1001, "size": 100})).json()

        assert len(first["items"]) == 50
        assert (first["total"], first["pages"], first["page"], first["size"]) == (MANY, 2000, 1, 50)
        assert first["items"][0]["id"] == session_id(many)
        assert [len(page["items"]) for page in (second, last, behind)] == [100, 100, 0]
        assert behind["total"] == MANY
        for page in (first, second):
            seen = [session["last_seen_at"] for session in page["items"]]
            assert seen == sorted(seen, reverse=True)
        assert second["items"][0]["last_seen_at"] < first["items"][-1]["last_seen_at"]


@pytest.mark.parametrize(
    "wrong", [{"size": 101}, {"size": 0}, {"page": 0}, {"page": 1_000_001}, {"page": "x"}]
)
async def test_a_page_that_cannot_be_is_a_422(ada, root, wrong):
    """C20: bounded like every other list."""
    for path, somebody in (("/auth/sessions", ada), (f"/users/{ada.id}/sessions", root)):
        response = await somebody.get(path, params=wrong)
        assert response.status_code == 422
        assert [detail["field"] for detail in response.json()["details"]] == [*wrong]


@pytest.mark.parametrize("ending", ["logout-all", "by-superuser", "password", "deactivation"])
async def test_all_sessions_end_at_once_without_delaying_other_requests(
    client, runtime, many, root, ending
):
    """C20: in memory that does not grow with them, and a handful of keys in Redis."""
    for somebody in (many, root):
        await somebody.get("/users/me")
    password = {"current_password": many.password, "new_password": f"{many.password}!"}
    acts = {
        "logout-all": lambda: many.post("/auth/logout-all"),
        "by-superuser": lambda: root.delete(f"/users/{many.id}/sessions"),
        "password": lambda: many.post("/auth/password", json=password),
        "deactivation": lambda: root.patch(f"/users/{many.id}", json={"is_active": False}),
    }
    keys = await runtime.cache.redis.dbsize()

    tracemalloc.start()
    async with loop_lag() as lags:
        ended = await acts[ending]()
        await asyncio.sleep(0.02)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert ended.is_success, ended.text
    assert max(lags) < LATE
    assert peak < 50 * MANY  # bytes: to name them all took 229 each, the rest of a request a third
    assert await runtime.cache.redis.dbsize() - keys < 5
    async with runtime.session_maker() as db:
        left = text("SELECT count(*) FROM sessions WHERE user_id = :id AND ended_at IS NULL")
        assert await db.scalar(left, {"id": many.id}) == (ending == "password")
    if ending != "password":
        assert (await many.get("/users/me")).status_code == 401
        assert (await refreshed(client, many.tokens["refresh_token"])).status_code == 401


async def test_an_end_of_all_holds_in_a_process_that_had_let_one_in(client, runtime, ada, settings):
    """C20: the user's tombstone stands for every session, and outlasts what a reader fills late."""
    await ada.get("/users/me")
    await ada.post("/auth/logout-all")
    await ada.login()
    first = (await row(runtime, session_id(ada))).id
    assert (await ada.get("/users/me")).status_code == 200
    redis = runtime.cache.redis

    user = f"myapi:cache:principal:{ada.id}"
    assert await redis.get(user) == b"-"
    assert await redis.ttl(user) > await redis.ttl(f"myapi:cache:session:{first.hex}")


async def test_a_purge_deletes_a_batch_at_a_time_and_keeps_what_is_done(
    client, runtime, many, statements, monkeypatch
):
    """By reading: one DELETE of everything never came to its end under the statement timeout."""
    await pass_time(runtime, timedelta(days=38).total_seconds())
    statements.clear()

    async with loop_lag() as lags:
        count = await purged(runtime)

    assert count == MANY
    deletes = [
        statement for statement in statements if statement.startswith("DELETE FROM sessions")
    ]
    assert len(deletes) == MANY // base.DELETE_BATCH + 1
    assert max(lags) < LATE


async def test_a_purge_that_is_cut_short_has_done_something(client, runtime, many, monkeypatch):
    """By reading: the next one goes on from there."""
    monkeypatch.setattr(base, "DELETE_BATCH", 100)
    await pass_time(runtime, timedelta(days=38).total_seconds())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await purged(runtime)

    async with runtime.session_maker() as db:
        assert 0 < await db.scalar(text("SELECT count(*) FROM sessions")) < MANY


async def test_a_purge_skips_locked_sessions(client, runtime, ada, bob, monkeypatch):
    """By reading: what somebody has locked is left to the next one."""
    monkeypatch.setattr(base, "DELETE_BATCH", 1)
    await pass_time(runtime, timedelta(days=38).total_seconds())
    async with runtime.engine.connect() as connection:
        lock = text("SELECT FROM sessions WHERE id = :id FOR UPDATE")
        await connection.execute(lock, {"id": session_id(ada)})

        async with asyncio.timeout(5):
            assert await purged(runtime) == 1

        await connection.rollback()
    assert await purged(runtime) == 1


async def test_stored_responses_are_purged_a_batch_at_a_time_too(client, runtime, ada, statements):
    """By reading: the same kind of purge."""
    insert = f"""
        INSERT INTO kept_answers ({ANSWERS})
        SELECT :id, 'bulk', n::text, '', 201, '', now() - interval '2 days' * (n % 3)
        FROM generate_series(1, 30000) AS n
    """
    async with runtime.session_maker() as db:
        await db.execute(text(insert), {"id": ada.id})
        await db.commit()
        statements.clear()
        count = await IdempotencyService(db).purge()
        left = await db.scalar(text("SELECT count(*) FROM kept_answers"))

    deletes = [statement for statement in statements if statement.startswith("DELETE")]
    assert (count, left) == (20_000, 10_000)
    assert len(deletes) == 20_000 // base.DELETE_BATCH + 1


async def test_the_admin_page_shows_those_used_last_and_how_many_there_are(
    app, client, runtime, many, root
):
    """C20: fifty of them, and their number."""
    token = runtime.tokens.sign(root.id, (await row(runtime, session_id(root))).id, "page")
    cookie = {"Cookie": f"__Host-backend_session={token}"}

    view = await client.get(f"/api/v1/dashboard/users/{many.id}/sessions", headers=cookie)

    assert view.status_code == 200
    assert "100,000 active, the most recently used are shown" in view.text
    # Once in the text and once in the name of the button, of each.
    assert view.text.count("last seen") == view.text.count("End the session of") * 2 == 100

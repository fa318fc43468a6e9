"""Principals are remembered for a minute, and forgotten at once."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from jose import jwt
from sqlalchemy import text

from app.core.exceptions import UnauthorizedException
from app.core.security import AccessToken
from app.schemas.access.session import Principal
from app.schemas.base import example_of
from app.schemas.user import UserSchema
from app.services.principals import TOMBSTONE_TTL, TTL, PrincipalCache
from app.services.tombstones import TOMBSTONE
from tests.conftest import browsing, person, running

PREFIX = "myapi:cache"
ADA = UserSchema.model_validate(example_of(UserSchema) | {"id": 7})


@pytest.fixture
def redis(runtime, client):
    assert runtime.cache is not None
    return runtime.cache.redis


@pytest.fixture
def cache(runtime, redis) -> PrincipalCache:
    return PrincipalCache(runtime.cache, PREFIX)


@pytest.fixture
def principal() -> Principal:
    return Principal(session_id=uuid4(), user=ADA)


def token_of(principal: Principal) -> AccessToken:
    return AccessToken(principal.user_id, principal.session_id)


def keys_of(person, runtime) -> tuple[str, str]:
    token = runtime.tokens.read(person.tokens["access_token"])
    return f"{PREFIX}:session:{token.session_id.hex}", f"{PREFIX}:principal:{token.user_id}"


@pytest.mark.parametrize(("path", "status"), [("/users/me", 200), ("/users", 403)])
async def test_a_warm_request_sends_no_sql(ada, statements, path, status):
    await ada.get("/users/me")
    statements.clear()

    response = await ada.get(path)

    assert response.status_code == status
    assert statements == []


async def test_an_uncached_request_runs_one_query_and_fills_the_cache(
    ada, redis, runtime, statements
):
    await redis.flushall()

    await ada.get("/users/me")

    assert len(statements) == 1
    assert await redis.exists(*keys_of(ada, runtime)) == 2


async def test_two_sessions_share_their_users_entry(ada, redis, runtime, statements):
    phone = replace(ada)
    await phone.login()
    for device in (ada, phone):
        await device.get("/users/me")
    statements.clear()

    for device in (ada, phone):
        assert (await device.get("/users/me")).status_code == 200

    assert statements == []
    assert keys_of(ada, runtime)[1] == keys_of(phone, runtime)[1]


async def test_an_ended_session_is_refused_without_sql(ada, statements):
    await ada.post("/auth/logout")
    statements.clear()

    assert (await ada.get("/users/me")).status_code == 401
    assert statements == []


async def test_keys_carry_the_prefix_and_live_a_minute_or_two_at_most(
    client, runtime, redis, ada, bob, root
):
    phone = replace(ada)
    for somebody in (ada, bob, root):
        await somebody.get("/users/me")
    await phone.login()
    await phone.patch("/users/me", json={"full_name": "Ada"})
    await root.patch(f"/users/{bob.id}", json={"is_active": False})
    await ada.post("/auth/logout-all")

    keys = [key async for key in redis.scan_iter() if b"limiter" not in key]

    assert len(keys) == 9
    for key in keys:
        assert key.startswith(PREFIX.encode())
        is_users_tombstone = b":principal:" in key and await redis.get(key) == TOMBSTONE
        assert 0 < await redis.pttl(key) <= (120_000 if is_users_tombstone else 60_000)


async def test_another_prefix_is_another_cache(runtime, redis, principal):
    here, there = (PrincipalCache(runtime.cache, prefix) for prefix in ("here", "there"))

    await here.fill(principal, 100)

    assert await here.get(token_of(principal)) == principal
    assert await there.get(token_of(principal)) is None


async def test_a_stored_principal_is_read(cache, principal):
    assert await cache.get(token_of(principal)) is None

    await cache.fill(principal, 100)

    assert await cache.get(token_of(principal)) == principal


async def test_a_slow_request_does_not_restore_an_ended_session(cache, principal):
    await cache.end_sessions([principal.session_id])

    await cache.fill(principal, 100)

    with pytest.raises(UnauthorizedException):
        await cache.get(token_of(principal))


async def test_a_slow_request_does_not_restore_an_old_profile(cache, principal):
    await cache.forget_user(principal.user_id)

    await cache.fill(principal, 100)

    assert await cache.get(token_of(principal)) is None


async def test_an_end_takes_the_place_of_what_was_filled_before(cache, principal):
    await cache.fill(principal, 100)
    await cache.end_sessions([principal.session_id])

    with pytest.raises(UnauthorizedException):
        await cache.get(token_of(principal))


async def test_ending_no_session_is_nothing(cache, redis):
    await cache.end_sessions([])

    assert await redis.dbsize() == 0


async def test_a_tombstone_outlasts_every_reader(cache, redis, settings, principal):
    await cache.end_sessions([principal.session_id])
    await cache.forget_user(principal.user_id)

    assert settings.server.request_timeout * 2 <= TOMBSTONE_TTL
    keys = [key async for key in redis.scan_iter()]
    assert len(keys) == 3
    for key in keys:
        # The user's stands for all of their sessions: it outlasts what a reader fills late, too.
        ttl = TOMBSTONE_TTL + (TTL if b":principal:" in key else 0)
        assert (ttl - 5) * 1000 < await redis.pttl(key) <= ttl * 1000


@pytest.mark.parametrize(("lifetime", "longest"), [(1000, TTL), (10.9, 10), (1, 1), (0.9, None)])
async def test_an_entry_expires_with_its_session(cache, redis, principal, lifetime, longest):
    await cache.fill(principal, lifetime)

    left = await redis.pttl(f"{PREFIX}:session:{principal.session_id.hex}")
    if longest is None:
        assert await redis.dbsize() == 0
    else:
        assert (longest - 1) * 1000 < left <= longest * 1000


async def test_a_warm_session_that_expires_is_over(runtime, redis, ada):
    async with runtime.session_maker() as db:
        await db.execute(text("UPDATE sessions SET expires_at = now() + interval '2.4 seconds'"))
        await db.commit()
    await redis.flushall()
    assert (await ada.get("/users/me")).status_code == 200
    assert await redis.exists(*keys_of(ada, runtime)) == 2

    await asyncio.sleep(2.4)

    assert (await ada.get("/users/me")).status_code == 401


@pytest.fixture
def paused(monkeypatch):
    """The next reader stops between the database's answer and the cache: when it has come there,
    and what lets it go on."""
    reached, go_on = asyncio.Event(), asyncio.Event()
    original = PrincipalCache.fill

    async def fill(self, *arguments) -> None:
        monkeypatch.setattr(PrincipalCache, "fill", original)
        reached.set()
        await go_on.wait()
        await original(self, *arguments)

    monkeypatch.setattr(PrincipalCache, "fill", fill)
    return reached, go_on


async def test_a_request_that_read_before_a_logout_does_not_undo_it(ada, paused):
    reached, go_on = paused
    reader = asyncio.create_task(ada.get("/users/me"))
    await reached.wait()
    assert (await ada.post("/auth/logout")).status_code == 204

    go_on.set()

    assert (await reader).status_code == 200  # it came before the logout
    assert (await ada.get("/users/me")).status_code == 401


async def test_a_request_that_read_before_a_demotion_does_not_undo_it(
    client, runtime, root, paused
):
    eve = await person(client, runtime, "eve", is_superuser=True)
    reached, go_on = paused
    reader = asyncio.create_task(eve.get("/users/me"))
    await reached.wait()
    await root.patch(f"/users/{eve.id}", json={"is_superuser": False})

    go_on.set()

    assert (await reader).json()["is_superuser"] is True
    assert (await eve.get("/users/me")).json()["is_superuser"] is False
    assert (await eve.get("/users")).status_code == 403


@pytest.mark.parametrize("warm", [True, False])
async def test_a_token_with_a_user_and_the_session_of_another_is_refused(
    settings, redis, ada, root, warm
):
    claims = jwt.get_unverified_claims(ada.tokens["access_token"])
    key = settings.auth.secret_key.get_secret_value()
    mallory = replace(
        ada, tokens={"access_token": jwt.encode(claims | {"sub": str(root.id)}, key, "HS256")}
    )
    for somebody in (ada, root):
        await somebody.get("/users/me")
    if not warm:
        await redis.flushall()

    for _ in range(2):
        assert (await mallory.get("/users/me")).status_code == 401

    assert (await ada.get("/users/me")).json()["email"] == ada.email


STRANGE = [b"", b"nonsense", b"\xff\xfe", b"{}", b"[]", b"null", b"7", b'{"id": 1}']


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("place", [0, 1], ids=["session", "user"])
async def test_strange_content_is_ignored(ada, redis, runtime, place, strange):
    await ada.get("/users/me")
    await redis.set(keys_of(ada, runtime)[place], strange)

    response = await ada.get("/users/me")

    assert response.status_code == 200
    assert response.json()["email"] == ada.email


@pytest.mark.parametrize("place", [0, 1], ids=["session", "user"])
async def test_content_of_another_type_is_ignored(ada, redis, runtime, place):
    await redis.flushall()
    await redis.lpush(keys_of(ada, runtime)[place], "strange")

    assert (await ada.get("/users/me")).status_code == 200


@pytest.mark.parametrize("place", [0, 1], ids=["session", "user"])
async def test_anothers_content_is_ignored(ada, root, redis, runtime, place):
    for somebody in (ada, root):
        await somebody.get("/users/me")
    anothers = await redis.get(keys_of(root, runtime)[place])
    await redis.set(keys_of(ada, runtime)[place], anothers)

    assert (await ada.get("/users/me")).json()["email"] == ada.email
    assert (await ada.get("/users")).status_code == 403


async def test_the_cached_profile_of_a_disabled_user_is_refused(cache, principal):
    disabled = ADA.model_copy(update={"is_active": False})

    await cache.fill(Principal(session_id=principal.session_id, user=disabled), 100)

    assert await cache.get(token_of(principal)) is None


async def test_without_a_cache_everything_works_and_ends(settings, client, redis, ada):
    await redis.flushall()
    async with (
        running(settings.replaced(cache={"enabled": False})) as app,
        browsing(app) as without,
    ):
        ada = replace(ada, client=without)
        await ada.login()
        assert (await ada.get("/users/me")).status_code == 200
        assert (await ada.patch("/users/me", json={"full_name": "Ada"})).status_code == 200
        assert (await ada.get("/users/me")).json()["full_name"] == "Ada"
        assert (await ada.post("/auth/logout")).status_code == 204
        assert (await ada.get("/users/me")).status_code == 401
    assert [key async for key in redis.scan_iter(f"{PREFIX}*")] == []


async def test_a_change_of_profile_is_seen_at_once_in_every_process(settings, client, ada, root):
    async with running(settings) as other_app, browsing(other_app) as elsewhere:
        ada_elsewhere = replace(ada, client=elsewhere)
        for warm in (ada, ada_elsewhere):
            await warm.get("/users/me")

        for changer, name in ((ada, "Ada King"), (root, "Ada Lovelace")):
            await changer.patch(f"/users/{ada.id}", json={"full_name": name})

            for process in (ada, ada_elsewhere):
                assert (await process.get("/users/me")).json()["full_name"] == name

"""Profiles are remembered for those who read them, and never shown to anybody else."""

import pytest

from app.services.principals import PrincipalCache
from tests.conftest import browsing, person, running
from tests.integration.test_principal_cache import ADA, PREFIX


@pytest.fixture
def redis(runtime, client):
    return runtime.cache.redis


def key(user_id: int) -> str:
    return f"{PREFIX}:profile:{user_id}"


async def test_a_profile_is_read_once_in_five_minutes(root, ada, redis, statements):
    first = await root.get(f"/users/{ada.id}")
    statements.clear()

    second = await root.get(f"/users/{ada.id}")

    assert statements == []
    assert second.json() == first.json()
    assert 298 <= await redis.ttl(key(ada.id)) <= 300


async def test_ones_own_profile_takes_no_query_and_no_second_entry(ada, redis, statements):
    await ada.get("/users/me")
    statements.clear()

    response = await ada.get(f"/users/{ada.id}")

    assert response.json()["email"] == ada.email
    assert statements == []
    assert await redis.exists(key(ada.id)) == 0


async def test_a_cached_profile_is_for_those_who_may_see_it(root, ada, bob, client):
    await root.get(f"/users/{ada.id}")

    assert (await bob.get(f"/users/{ada.id}")).status_code == 403
    assert (await client.get(f"/api/v1/users/{ada.id}")).status_code == 401


@pytest.mark.parametrize("by", ["themselves", "a superuser"])
async def test_a_change_is_seen_at_once_in_every_process(settings, root, ada, by):
    changes = ada if by == "themselves" else root
    async with running(settings) as other, browsing(other) as there:
        headers = {"Authorization": f"Bearer {root.tokens['access_token']}"}
        for _ in range(2):
            await there.get(f"/api/v1/users/{ada.id}", headers=headers)

        await changes.patch(f"/users/{ada.id}", json={"full_name": "Ada King"})

        seen = await there.get(f"/api/v1/users/{ada.id}", headers=headers)
    assert seen.json()["full_name"] == "Ada King"


async def test_a_deleted_user_is_not_cached(root, ada):
    await root.get(f"/users/{ada.id}")

    await root.delete(f"/users/{ada.id}")

    assert (await root.get(f"/users/{ada.id}")).status_code == 404


async def test_a_missing_user_is_not_cached(root, client, runtime):
    assert (await root.get("/users/2")).status_code == 404

    eve = await person(client, runtime, "eve")

    assert (await root.get(f"/users/{eve.id}")).json()["email"] == eve.email


async def test_a_slow_request_does_not_restore_an_old_profile(runtime, redis):
    cache = PrincipalCache(runtime.cache, PREFIX)

    await cache.forget_user(ADA.id)
    await cache.fill_profile(ADA)

    assert await cache.profile(ADA.id) is None


async def test_a_cached_profile_authenticates_no_one(root, ada, redis):
    """It outlives what is remembered of a principal, so it must not stand in for it."""
    await root.get(f"/users/{ada.id}")
    await redis.delete(f"{PREFIX}:principal:{ada.id}")
    disabled = (await root.get(f"/users/{ada.id}")).json() | {"is_active": True}

    await root.patch(f"/users/{ada.id}", json={"is_active": False})
    await redis.set(key(ada.id), str(disabled))

    assert (await ada.get("/users/me")).status_code == 401


@pytest.mark.parametrize("strange", [b"", b"{}", b"\xff", b"null"])
async def test_strange_content_is_ignored(root, ada, redis, strange):
    await redis.set(key(ada.id), strange)

    response = await root.get(f"/users/{ada.id}")

    assert response.json()["email"] == ada.email

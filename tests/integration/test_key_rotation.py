"""The signing key is changed while people are logged in, in three steps of one restart each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from pydantic import SecretStr

from app.core.config import Settings
from tests.conftest import Person, browsing, person, running

OLD, NEW, UNKNOWN = (SecretStr(letter * 32) for letter in "onu")


@asynccontextmanager
async def signing(
    settings: Settings, key: SecretStr, *accepted: SecretStr
) -> AsyncIterator[Person]:
    """Somebody with an account at an instance with these keys, logged in there."""
    auth = {"secret_key": key, "accepted_secret_keys": accepted}
    async with running(settings.replaced(auth=auth)) as app, browsing(app) as visitor:
        name = f"at{''.join(key.get_secret_value()[0] for key in (key, *accepted))}"
        yield await person(visitor, app.state.runtime, name, is_superuser=True)


async def gets_in(somebody: Person, at: Person) -> bool:
    status = (await replace(somebody, client=at.client).get("/users/me")).status_code
    assert status in {200, 401}
    return status == 200


async def test_a_token_of_an_accepted_key_is_valid_and_one_of_another_is_not(client, settings):
    async with (
        signing(settings, OLD) as before,
        signing(settings, UNKNOWN) as elsewhere,
        signing(settings, NEW, OLD) as during,
        signing(settings, NEW) as after,
    ):
        assert await gets_in(before, during)
        assert await gets_in(during, after)
        assert not await gets_in(before, after)
        assert not await gets_in(elsewhere, during)


async def test_in_each_step_instances_before_and_after_it_take_each_others_tokens(client, settings):
    async with (
        signing(settings, OLD) as zero,
        signing(settings, OLD, NEW) as one,
        signing(settings, NEW, OLD) as two,
    ):
        for earlier, later in ((zero, one), (one, two)):
            assert await gets_in(earlier, later)
            assert await gets_in(later, earlier)


async def test_a_session_outlives_the_key_by_a_refresh_while_that_is_accepted(client, settings):
    async with (
        signing(settings, OLD) as before,
        signing(settings, NEW, OLD) as during,
        signing(settings, NEW) as after,
    ):
        refresh = {"refresh_token": before.tokens["refresh_token"]}
        too_late = await after.client.post("/api/v1/auth/refresh", json=refresh)
        renewed = await during.client.post("/api/v1/auth/refresh", json=refresh)
        refresh = {"refresh_token": renewed.json()["refresh_token"]}
        again = await after.client.post("/api/v1/auth/refresh", json=refresh)

        assert too_late.status_code == 401
        assert (renewed.status_code, again.status_code) == (200, 200)
        assert await gets_in(replace(before, tokens=again.json()), after)


@pytest.mark.parametrize(("accepted", "status"), [((OLD,), 200), ((), 422), ((UNKNOWN,), 422)])
async def test_a_list_is_followed_to_its_next_page_across_the_change(
    client, settings, accepted, status
):
    async with signing(settings, OLD) as before, signing(settings, NEW, *accepted) as after:
        first = await before.get("/users/cursor", params={"size": 1})
        following = {"size": 1, "cursor": first.json()["next_cursor"]}

        assert (await after.get("/users/cursor", params=following)).status_code == status

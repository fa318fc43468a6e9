"""The pages of one's own API keys, which every account has."""

import httpx
import pytest

from tests.account_pages import ACCOUNT, log_in, send
from tests.conftest import Person
from tests.integration.test_api_keys import robot_of
from tests.integration.test_dashboard_page import browser
from tests.integration.test_roles import give
from tests.mfa import make_stale

__all__ = ["browser"]

KEYS = f"{ACCOUNT}/keys"


@pytest.fixture
async def ada_browser(browser: httpx.AsyncClient, ada: Person) -> httpx.AsyncClient:
    await log_in(browser, ada)
    return browser


async def test_a_key_of_a_plain_user_is_shown_once(ada_browser, ada):
    made = await send(ada_browser, "/keys", name="Robot")
    later = await ada_browser.get(KEYS)

    assert made.status_code == 201
    assert 'value="bapi_' in made.text
    assert "Robot" in later.text
    assert 'value="bapi_' not in later.text
    assert (await ada.get("/api-keys")).json()["total"] == 1


async def test_a_key_gets_no_more_than_its_owner_has(ada_browser, root, ada):
    await give(root, ada, "users:read")

    page = await ada_browser.get(KEYS)
    refused = await send(ada_browser, "/keys", name="Robot", permissions="users:delete")
    made = await send(ada_browser, "/keys", name="Robot", permissions="users:read")

    assert 'value="users:read"' in page.text
    assert 'value="users:delete"' not in page.text
    assert (refused.status_code, made.status_code) == (403, 201)
    (key,) = (await ada.get("/api-keys")).json()["items"]
    assert key["permissions"] == ["users:read"]


async def test_a_key_that_is_refused_is_shown_again(ada_browser):
    unnamed = await send(ada_browser, "/keys", name="")
    too_long = await send(ada_browser, "/keys", name="Robot", expires_at="2099-01-01")
    no_date = await send(ada_browser, "/keys", name="Robot", expires_at="tomorrow")

    assert [answer.status_code for answer in (unnamed, too_long, no_date)] == [422, 422, 422]
    assert "Should be within a year from now" in too_long.text
    assert 'value="Robot"' in no_date.text


async def test_a_key_needs_a_recent_login_and_keeps_what_was_typed(ada_browser, ada, runtime):
    await make_stale(runtime)

    refused = await send(ada_browser, "/keys", name="Robot")

    assert refused.status_code == 403
    assert "confirm that it is you" in refused.text
    assert 'value="Robot"' in refused.text
    assert (await ada.get("/api-keys")).json()["total"] == 0


async def test_a_key_is_revoked_by_its_owner_alone(ada_browser, ada, bob):
    robot, other = await robot_of(ada), await robot_of(bob)

    revoked = await send(ada_browser, f"/keys/{robot.key['id']}/revoke")
    not_theirs = await send(ada_browser, f"/keys/{other.key['id']}/revoke")
    page = await ada_browser.get(revoked.headers["Location"])

    assert (revoked.status_code, revoked.headers["Location"]) == (303, KEYS)
    assert not_theirs.status_code == 404
    assert "There are no keys" in page.text
    assert (await robot.get("/users/me")).status_code == 401
    assert (await other.get("/users/me")).status_code == 200


async def test_a_form_that_is_not_ours_makes_and_revokes_no_key(ada_browser, ada):
    robot = await robot_of(ada)

    made = await ada_browser.post(KEYS, data={"name": "Robot"})
    revoked = await ada_browser.post(f"{KEYS}/{robot.key['id']}/revoke")

    assert (made.status_code, revoked.status_code) == (403, 403)
    assert (await ada.get("/api-keys")).json()["total"] == 1


async def test_the_account_leads_to_the_keys(ada_browser):
    assert f'href="{KEYS}"' in (await ada_browser.get(ACCOUNT)).text

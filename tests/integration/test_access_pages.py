"""The admin pages of roles and API keys: forms, refusals, and what a role sees."""

import httpx
import pytest

from tests.conftest import Person
from tests.integration.test_api_keys import robot_of
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in
from tests.integration.test_roles import give, new_role
from tests.mfa import make_stale

__all__ = ["browser"]


async def send(browser: httpx.AsyncClient, place: str, **fields: object) -> httpx.Response:
    """Send the form of a page, as a browser does."""
    form = form_in(await browser.get(f"{PAGE}{place}"), place)
    return await browser.post(f"{PAGE}{place}", data={**form, **fields})


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


async def test_the_matrix_shows_which_role_has_which_permission(admin, root):
    await new_role(root, "support", "users:read")

    page = await admin.get(f"{PAGE}/roles")

    (row,) = [part for part in page.text.split("<tr>") if ">users:read</th>" in part]
    (other,) = [part for part in page.text.split("<tr>") if ">users:delete</th>" in part]
    assert "✓" in row
    assert "✓" not in other


async def test_a_role_is_created_changed_and_deleted(admin, root):
    created = await send(admin, "/roles/new", name="support", permissions=["users:read"])
    (role,) = (await root.get("/roles")).json()["items"]
    place = f"/roles/{role['id']}"
    changed = await send(admin, place, name="helpers", description="They help")
    (after,) = (await root.get("/roles")).json()["items"]
    deleted = await send(admin, f"{place}/delete")

    assert [answer.status_code for answer in (created, changed, deleted)] == [303, 303, 303]
    assert role["permissions"] == ["users:read"]
    assert (after["name"], after["permissions"]) == ("helpers", [])
    assert (await root.get("/roles")).json()["total"] == 0


async def test_a_role_that_is_refused_is_shown_again_with_what_was_typed(admin, root):
    await new_role(root, "support")

    invalid = await send(admin, "/roles/new", name="No Name", permissions=["users:read"])
    taken = await send(admin, "/roles/new", name="support")

    assert (invalid.status_code, taken.status_code) == (422, 409)
    assert 'value="No Name"' in invalid.text
    assert 'value="users:read" checked' in invalid.text
    assert "Already taken" in taken.text


async def test_roles_are_given_on_the_users_page(admin, root, ada):
    await new_role(root, "support", "users:read")

    saved = await send(admin, f"/users/{ada.id}/roles", roles=["support"])

    assert saved.status_code == 303
    assert "<dd>support</dd>" in (await admin.get(f"{PAGE}/users/{ada.id}")).text
    refused = await send(admin, f"/users/{ada.id}/roles", roles=["nobody"])
    assert refused.status_code == 422
    assert "There is no such role" in refused.text
    assert 'value="support"' in refused.text


async def test_a_key_of_a_user_gets_no_more_than_they_have(admin, root, ada):
    await give(root, ada, "users:read")
    place = f"/users/{ada.id}/keys"

    page = await admin.get(f"{PAGE}{place}")
    refused = await send(admin, place, name="Robot", permissions=["users:delete"])
    made = await send(admin, place, name="Robot", permissions=["users:read"])

    assert 'value="users:read"' in page.text
    assert 'value="users:delete"' not in page.text
    assert (refused.status_code, made.status_code) == (422, 201)


async def test_a_key_of_a_user_is_revoked(admin, root, ada):
    robot = await robot_of(ada)
    place = f"/users/{ada.id}/keys"

    revoked = await send(admin, f"{place}/{robot.key['id']}/revoke")

    assert (revoked.status_code, revoked.headers["Location"]) == (303, f"{PAGE}{place}")
    assert (await robot.get("/users/me")).status_code == 401


async def test_changes_need_a_recent_login(admin, root, ada, runtime):
    role = await new_role(root, "support")
    await make_stale(runtime)

    refused = [
        await send(admin, "/roles/new", name="other"),
        await send(admin, f"/roles/{role['id']}", name="other"),
        await send(admin, f"/roles/{role['id']}/delete"),
        await send(admin, f"/users/{ada.id}/roles", roles=["support"]),
        await send(admin, f"/users/{ada.id}/keys", name="Robot"),
    ]

    assert [answer.status_code for answer in refused] == [403, 403, 303, 403, 403]
    assert refused[2].headers["Location"].startswith("/account/confirm?")
    assert "confirm that it is you" in refused[0].text
    assert 'value="other"' in refused[0].text
    assert (await root.get("/roles")).json()["total"] == 1


async def test_a_role_sees_what_it_may_and_no_more(browser, root, ada, bob):
    await give(root, ada, "users:read", "sessions:end")
    entered = await log_in(browser, ada)

    first = await browser.get(PAGE)
    table = await browser.get(f"{PAGE}/users")
    user = await browser.get(f"{PAGE}/users/{root.id}")
    ended = await browser.get(f"{PAGE}/users/confirm?action=end_sessions&id={bob.id}")
    delete = await browser.get(f"{PAGE}/users/confirm?action=delete&id={bob.id}")

    assert entered.status_code == 303
    assert (first.status_code, first.headers["Location"]) == (303, f"{PAGE}/users")
    assert "End sessions" in table.text
    for hidden in ("New user", "Upload a file", "Deactivate", 'value="delete"', "/jobs"):
        assert hidden not in table.text
    assert "/edit" not in user.text
    assert (ended.status_code, delete.status_code) == (200, 403)


async def test_a_role_that_allows_no_view_leads_to_the_account(browser, root, ada):
    await give(root, ada, "sessions:end")
    await log_in(browser, ada)

    first = await browser.get(PAGE)

    assert (first.status_code, first.headers["Location"]) == (303, "/account")
    assert 'aria-label="Views"' not in (await browser.get("/account")).text


async def test_a_user_without_a_role_does_not_get_in(browser, ada):
    refused = await log_in(browser, ada)

    assert refused.status_code == 403
    assert "Your account may not use these pages" in refused.text


async def test_a_role_that_creates_users_makes_no_superuser(browser, root, ada):
    await give(root, ada, "users:read", "users:create")
    await log_in(browser, ada)
    form = await browser.get(f"{PAGE}/users/new")
    fields = {"email": "new@example.com", "password": "correct horse battery staple"}

    forged = await send(browser, "/users/new", **fields, is_superuser="true")
    created = await send(browser, "/users/new", **fields)

    assert "is_superuser" not in form.text
    assert forged.status_code == 422
    assert created.status_code == 303

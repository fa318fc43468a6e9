"""Somebody who knows a user's password takes the account over; the first address gets it back."""

import asyncio

import httpx
import pytest
from sqlalchemy import text

from app.services.account.mail_contexts import NOTICES
from tests.access import API
from tests.authenticator import Authenticator, register
from tests.conftest import PASSWORD, Person
from tests.integration.test_api_keys import robot_of
from tests.integration.test_email_change import UNDO, changed, email_of, requested, used
from tests.integration.test_password_recovery import is_refused
from tests.integration.test_roles import give
from tests.integration.test_sessions import waiting_for_locks
from tests.mailbox import Mailbox, token_in
from tests.mfa import set_up

THIEF = "thief@example.org"


async def regained(client: httpx.AsyncClient, ada: Person, undo: str) -> None:
    answer = await used(client, UNDO, undo)
    assert answer.status_code == 204, answer.text
    await ada.login()
    assert await email_of(ada) == ada.email


@pytest.mark.parametrize("is_told_before", [True, False])
async def test_a_deletion_by_the_thief_is_undone_too(
    client, ada: Person, mailbox: Mailbox, is_told_before
):
    await requested(ada, THIEF)
    confirmation = await mailbox.token("Confirm")
    assert (await used(client, f"{API}/auth/email-change", confirmation)).status_code == 204
    undo = await mailbox.token("was changed") if is_told_before else None
    deletion = await ada.post("/users/me/deletion", json={"current_password": PASSWORD})
    assert deletion.status_code == 200
    undo = undo or await mailbox.token("was changed")

    await regained(client, ada, undo)

    async with mailbox.runtime.engine.connect() as connection:
        waiting = await connection.scalar(text("SELECT count(*) FROM account_deletions"))
    assert waiting == 0


@pytest.mark.parametrize("deletes_first", [True, False])
async def test_whom_an_administrator_deactivated_does_not_come_back_by_an_undo(
    client, ada: Person, root: Person, mailbox: Mailbox, deletes_first
):
    undo = await changed(client, ada, mailbox, THIEF)
    if deletes_first:
        await ada.post("/users/me/deletion", json={"current_password": PASSWORD})
    await root.patch(f"/users/{ada.id}", json={"is_active": False})

    assert is_refused(await used(client, UNDO, undo))
    assert (await root.get(f"/users/{ada.id}")).json()["is_active"] is False


async def test_an_account_that_took_the_address_meanwhile_does_not_stop_the_undo(
    client, ada: Person, root: Person, mailbox: Mailbox
):
    undo = await changed(client, ada, mailbox, THIEF)
    body = {"email": ada.email, "password": "another long password"}
    squatter = (await client.post(f"{API}/users", json=body)).json()["id"]

    await regained(client, ada, undo)

    assert (await root.get(f"/users/{squatter}")).status_code == 404


async def test_an_account_that_verified_the_address_keeps_it(
    client, ada: Person, root: Person, mailbox: Mailbox
):
    undo = await changed(client, ada, mailbox, THIEF)
    body = {"email": ada.email, "password": "another long password"}
    other = (await client.post(f"{API}/users", json=body)).json()["id"]
    async with mailbox.runtime.engine.begin() as connection:
        which = text("UPDATE users SET email_verified_at = now() WHERE id = :id")
        await connection.execute(which, {"id": other})

    assert (await used(client, UNDO, undo)).status_code == 409
    assert (await root.get(f"/users/{other}")).status_code == 200


async def test_what_was_added_since_the_change_goes_with_it(client, ada: Person, mailbox: Mailbox):
    before = await robot_of(ada)
    undo = await changed(client, ada, mailbox, THIEF)
    since = await robot_of(ada)
    assert (await register(ada, Authenticator())).status_code == 201
    await set_up(ada)
    assert (await since.get("/users/me")).status_code == 200

    await regained(client, ada, undo)

    assert (await since.get("/users/me")).status_code == 401
    assert (await before.get("/users/me")).status_code == 200
    assert (await ada.get("/users/me/passkeys")).json() == []
    factors = (await ada.get("/users/me/mfa")).json()
    assert (factors["totp_confirmed_at"], factors["recovery_codes_left"]) == (None, 0)


async def test_factors_from_before_the_change_stay(client, ada: Person, mailbox: Mailbox):
    app = await set_up(ada)
    undo = await changed(client, ada, mailbox, THIEF)

    assert (await used(client, UNDO, undo)).status_code == 204

    credentials = {"email": ada.email, "password": PASSWORD}
    answer = (await client.post(f"{API}/auth/login", json=credentials)).json()
    assert "totp" in answer["mfa_methods"]
    assert app.recovery_codes


async def test_an_address_that_an_administrator_replaced_cannot_be_restored(
    client, ada: Person, root: Person, mailbox: Mailbox
):
    await changed(client, ada, mailbox, THIEF)
    thiefs = await changed(client, ada, mailbox, "thief@example.net")
    assert (await root.patch(f"/users/{ada.id}", json={"email": ada.email})).status_code == 200

    assert is_refused(await used(client, UNDO, thiefs))
    assert (await root.get(f"/users/{ada.id}")).json()["email"] == ada.email


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_who_is_promoted_while_a_role_changes_them_is_safe(
    ada: Person, bob: Person, root: Person, mailbox: Mailbox, method
):
    await give(root, bob, "users:update", "users:delete")
    body = {"json": {"email": THIEF}} if method == "PATCH" else {}
    async with mailbox.runtime.engine.begin() as connection:
        promotion = text("UPDATE users SET is_superuser = true WHERE id = :id")
        await connection.execute(promotion, {"id": ada.id})
        change = asyncio.create_task(bob.request(method, f"/users/{ada.id}", **body))
        await waiting_for_locks(mailbox.runtime, 1)

    assert (await change).status_code == 403
    assert (await root.get(f"/users/{ada.id}")).json()["email"] == ada.email


async def test_an_address_gets_one_link_a_minute(client, ada: Person, mailbox: Mailbox):
    first = await requested(ada, THIEF)
    (mail,) = await mailbox.receive()

    again = await requested(ada, THIEF)

    assert (first.status_code, again.status_code, mail.to) == (202, 202, THIEF)
    assert await mailbox.queued() == []
    assert (await used(client, f"{API}/auth/email-change", token_in(mail))).status_code == 204


async def test_no_api_key_removes_the_factors_of_a_user(ada: Person, root: Person):
    await set_up(ada)
    robot = await robot_of(root, "users:update")

    assert (await robot.request("DELETE", f"/users/{ada.id}/mfa")).status_code == 403
    assert (await ada.get("/users/me/mfa")).json()["totp_confirmed_at"] is not None


async def test_notices_of_a_kind_are_bounded(ada: Person, mailbox: Mailbox):
    """Anybody can make an account with another's address, and API keys of it without end."""
    mails = []
    for _ in range(NOTICES + 2):
        robot = await robot_of(ada)
        mails += await mailbox.receive()
        assert (await ada.delete(f"/api-keys/{robot.key['id']}")).status_code == 204

    assert len(mails) == NOTICES

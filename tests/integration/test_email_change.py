"""Changes of an email: confirmed at the new address, undone from the old one."""

import asyncio
from typing import Any

import httpx
import pytest

from app.core.config import Settings
from tests.access import API
from tests.conftest import PASSWORD, Person, browsing, running
from tests.integration.test_password_recovery import age, is_refused
from tests.mailbox import Mailbox, token_in

CONFIRM, UNDO = f"{API}/auth/email-change", f"{API}/auth/email-change/undo"
NEW = "ada@example.org"


async def requested(person: Person, email: str = NEW, password: str = PASSWORD) -> httpx.Response:
    body = {"email": email, "current_password": password}
    return await person.post("/users/me/email", json=body)


async def used(client: httpx.AsyncClient, path: str, token: str) -> httpx.Response:
    return await client.post(path, json={"token": token})


async def email_of(person: Person) -> Any:
    return (await person.get("/users/me")).json()["email"]


async def changed(client: httpx.AsyncClient, person: Person, mailbox: Mailbox, email: str) -> str:
    """Change the email, and return the token to undo that."""
    assert (await requested(person, email)).status_code == 202
    assert (await used(client, CONFIRM, await mailbox.token("Confirm"))).status_code == 204
    return await mailbox.token("was changed")


async def test_the_new_address_confirms_and_the_old_one_is_told(client, ada, mailbox):
    asked = await requested(ada)
    (mail,) = await mailbox.receive()
    before = await email_of(ada)

    answer = await used(client, CONFIRM, token_in(mail))

    (told,) = await mailbox.receive()
    me = (await ada.get("/users/me")).json()
    assert (asked.status_code, answer.status_code) == (202, 204)
    assert (mail.to, before) == (NEW, ada.email)
    assert (me["email"], me["email_verified_at"] is not None) == (NEW, True)
    assert told.to == ada.email
    assert "/account/email-change-undo?token=" in told.text


async def test_the_old_address_undoes_it_and_ends_all_sessions(client, ada, mailbox):
    undo = await changed(client, ada, mailbox, NEW)

    answer = await used(client, UNDO, undo)

    (mail,) = await mailbox.receive()
    assert answer.status_code == 204
    assert (await ada.get("/users/me")).status_code == 401
    assert (mail.to, "new password" in mail.subject) == (ada.email, True)
    await ada.login()
    assert await email_of(ada) == ada.email
    assert is_refused(await used(client, UNDO, undo))


@pytest.mark.parametrize("path", [CONFIRM, UNDO])
async def test_of_two_uses_at_once_in_two_processes_one_succeeds(
    client, ada, mailbox, settings: Settings, path
):
    """R19"""
    if path == UNDO:
        token = await changed(client, ada, mailbox, NEW)
    else:
        await requested(ada)
        token = await mailbox.token()
    async with running(settings) as other, browsing(other) as elsewhere:
        answers = await asyncio.gather(used(client, path, token), used(elsewhere, path, token))

    assert sorted(answer.status_code for answer in answers) == [204, 422]


async def test_a_thief_who_changes_password_and_email_again_does_not_keep_the_account(
    client, ada, mailbox
):
    first = await changed(client, ada, mailbox, "thief@example.org")
    change = {"current_password": PASSWORD, "new_password": f"{PASSWORD}!"}
    assert (await ada.post("/auth/password", json=change)).status_code == 204
    await mailbox.receive()
    assert (await requested(ada, "thief@example.net", f"{PASSWORD}!")).status_code == 202
    await used(client, CONFIRM, await mailbox.token("Confirm"))
    second = await mailbox.token("was changed")

    assert (await used(client, UNDO, first)).status_code == 204
    assert is_refused(await used(client, UNDO, second))
    (mail,) = await mailbox.receive()
    assert mail.to == ada.email


async def test_a_request_does_not_tell_whether_the_address_has_an_account(ada, bob, mailbox):
    free, taken = await requested(ada), await requested(ada, bob.email)

    assert (free.status_code, free.content) == (taken.status_code, taken.content)
    assert await mailbox.receive() == []  # the later request replaced the link of the first


async def test_an_address_that_is_taken_meanwhile_is_a_409(client, ada, mailbox):
    await requested(ada)
    token = await mailbox.token()
    await client.post(f"{API}/users", json={"email": NEW, "password": PASSWORD})

    answer = await used(client, CONFIRM, token)

    assert answer.status_code == 409
    assert await email_of(ada) == ada.email


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"email": NEW, "current_password": "wrong"}, "current_password", "wrong_password"),
        ({"email": "no email", "current_password": PASSWORD}, "email", "malformed"),
        ({"email": "a@corp.local", "current_password": PASSWORD}, "email", "not_allowed"),
        ({"email": NEW}, "current_password", "missing"),
    ],
)
async def test_a_request_that_is_refused_names_the_field(ada, mailbox, body, field, code):
    answer = await ada.post("/users/me/email", json=body)

    detail = answer.json()["details"][0]
    assert (answer.status_code, detail["field"], detail["code"]) == (422, field, code)
    assert await mailbox.queued() == []


async def test_links_expire_and_a_changed_password_voids_the_one_to_confirm(client, ada, mailbox):
    await requested(ada)
    token = await mailbox.token()
    change = {"current_password": PASSWORD, "new_password": f"{PASSWORD}!"}
    await ada.post("/auth/password", json=change)
    assert is_refused(await used(client, CONFIRM, token))
    await mailbox.receive()
    ada.password = f"{PASSWORD}!"
    assert (await requested(ada, NEW, ada.password)).status_code == 202
    await used(client, CONFIRM, await mailbox.token())
    undo = await mailbox.token()
    await age(mailbox.runtime, "expires_at", "72 hours")

    assert is_refused(await used(client, UNDO, undo))


@pytest.mark.parametrize("path", ["/users/me", "/users/{id}"])
async def test_nobody_patches_their_own_email(ada, bob, root, path):
    """S11: neither a free nor a taken one, and superusers neither."""
    for person in (ada, root):
        answers = [
            await person.patch(path.format(id=person.id), json={"email": email})
            for email in (NEW, bob.email)
        ]
        details = [answer.json()["details"] for answer in answers]
        assert [answer.status_code for answer in answers] == [422, 422]
        assert details[0] == details[1]
        assert (details[0][0]["field"], details[0][0]["code"]) == ("email", "not_allowed")
        same = await person.patch(path.format(id=person.id), json={"email": person.email})
        assert same.status_code == 200


async def test_both_addresses_are_told_of_a_change_by_an_administrator(client, ada, root, mailbox):
    await ada.post("/users/me/email-verification")
    token = await mailbox.token()
    answer = await root.patch(f"/users/{ada.id}", json={"email": NEW})
    mails = await mailbox.receive()

    assert answer.json()["email_verified_at"] is None
    assert sorted(mail.to for mail in mails) == [ada.email, NEW]
    assert all("token=" not in mail.text for mail in mails)
    assert is_refused(await used(client, f"{API}/auth/email-verification", token))

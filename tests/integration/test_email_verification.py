"""Verification of emails: by a link, before the first login where that is required."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.config import Settings, SettingsError, load_settings
from tests.access import API
from tests.conftest import PASSWORD, Person, browsing, running
from tests.integration.test_password_recovery import age, is_refused, reset
from tests.mailbox import token_in

VERIFY, USERS, LOGIN = f"{API}/auth/email-verification", f"{API}/users", f"{API}/auth/login"


def sign_up(email: str, **fields: Any) -> dict[str, Any]:
    return {"email": email, "password": PASSWORD, **fields}


@pytest.fixture
async def required(settings: Settings, client) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that requires verified emails."""
    auth = {"email_verification": "required"}
    async with running(settings.replaced(auth=auth)) as app, browsing(app) as strict:
        yield strict


async def verified(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post(VERIFY, json={"token": token})


async def log_in(client: httpx.AsyncClient, email: str) -> httpx.Response:
    return await client.post(LOGIN, json={"email": email, "password": PASSWORD})


async def test_a_user_verifies_their_email_by_the_link_in_a_mail(client, ada, mailbox):
    before = (await ada.get("/users/me")).json()["email_verified_at"]
    asked = await ada.post("/users/me/email-verification")
    (mail,) = await mailbox.receive()

    answer = await verified(client, token_in(mail))

    assert before is None
    assert asked.status_code == 202
    assert mail.to == ada.email
    assert "/account/email-verification?token=" in mail.text
    assert answer.status_code == 204
    assert (await ada.get("/users/me")).json()["email_verified_at"] is not None


async def test_the_link_works_once_also_at_the_same_moment_in_two_processes(
    client, ada, mailbox, settings: Settings
):
    """R19"""
    await ada.post("/users/me/email-verification")
    token = await mailbox.token()
    async with running(settings) as other, browsing(other) as elsewhere:
        answers = await asyncio.gather(verified(client, token), verified(elsewhere, token))

    assert sorted(answer.status_code for answer in answers) == [204, 422]
    assert is_refused(await verified(client, token))


async def test_a_verified_user_and_one_who_asks_too_soon_get_no_further_mail(client, ada, mailbox):
    for _ in range(2):
        assert (await ada.post("/users/me/email-verification")).status_code == 202
    token = await mailbox.token()
    await verified(client, token)
    await age(mailbox.runtime, "created_at", "61 seconds")
    await ada.post("/users/me/email-verification")

    assert await mailbox.receive() == []


async def test_the_link_expires_after_a_day_and_is_no_link_of_another_kind(client, ada, mailbox):
    await ada.post("/users/me/email-verification")
    token = await mailbox.token()

    assert is_refused(await reset(client, token))
    await age(mailbox.runtime, "expires_at", "24 hours")
    assert is_refused(await verified(client, token))


async def test_a_changed_password_voids_the_link(client, ada, mailbox):
    await ada.post("/users/me/email-verification")
    token = await mailbox.token()
    change = {"current_password": PASSWORD, "new_password": f"{PASSWORD}!"}
    await ada.post("/auth/password", json=change)

    assert is_refused(await verified(client, token))


@pytest.mark.parametrize("body", [{}, {"token": 1}, {"token": "x" * 65}, {"token": "x", "y": 1}])
async def test_bad_input_is_a_422(client, body):
    assert (await client.post(VERIFY, json=body)).status_code == 422


async def test_a_new_password_by_a_link_verifies_the_email_too(client, ada, mailbox):
    await client.post(f"{API}/auth/password-recovery", json={"email": ada.email})
    await reset(client, await mailbox.token(), PASSWORD + "!")
    ada.password = PASSWORD + "!"
    await ada.login()

    assert (await ada.get("/users/me")).json()["email_verified_at"] is not None


async def test_where_it_is_off_a_sign_up_gets_no_mail(client, mailbox):
    assert (await client.post(USERS, json=sign_up("ada@example.com"))).status_code == 201

    assert await mailbox.queued() == []


async def test_where_it_is_optional_a_sign_up_gets_the_link_and_can_log_in(
    client, settings: Settings, mailbox
):
    auth = {"email_verification": "optional"}
    async with running(settings.replaced(auth=auth)) as app, browsing(app) as lenient:
        answer = await lenient.post(USERS, json=sign_up("ada@example.com"))
        assert (await log_in(lenient, "ada@example.com")).status_code == 200

    assert answer.status_code == 201
    assert (await verified(client, await mailbox.token())).status_code == 204


async def test_where_it_is_required_nobody_logs_in_before(required, mailbox):
    await required.post(USERS, json=sign_up("ada@example.com"))
    (mail,) = await mailbox.receive()
    before = await log_in(required, "ada@example.com")
    form = {"username": "ada@example.com", "password": PASSWORD}
    by_form = await required.post(f"{API}/auth/token", data=form)
    await verified(required, token_in(mail))

    assert (before.status_code, before.json()["error"]) == (403, "email_unverified")
    assert (by_form.status_code, by_form.json()["error"]) == (400, "invalid_grant")
    assert (await log_in(required, "ada@example.com")).status_code == 200


async def test_an_unverified_user_gets_the_link_again_by_the_right_password_alone(
    required, ada, mailbox
):
    """Also users from before it was required."""
    wrong = await required.post(LOGIN, json={"email": ada.email, "password": "wrong"})
    assert (wrong.status_code, await mailbox.queued()) == (401, [])
    for _ in range(2):
        assert (await log_in(required, ada.email)).status_code == 403

    assert (await verified(required, await mailbox.token())).status_code == 204


async def test_a_sign_up_does_not_tell_who_has_an_account(required, ada, mailbox):
    fresh = await required.post(USERS, json=sign_up("new@example.com"))
    taken = await required.post(USERS, json=sign_up(ada.email))
    mails = await mailbox.receive()

    assert (fresh.status_code, fresh.content) == (taken.status_code, taken.content)
    assert fresh.status_code == 202
    assert fresh.json() == {"status": "verification_required"}
    assert set(fresh.headers) == set(taken.headers)
    assert [(mail.to, mail.subject) for mail in mails] == [
        ("new@example.com", "Verify your email for Backend API"),
        (ada.email, "You already have an account at Backend API"),
    ]
    assert (await reset(required, token_in(mails[1]), f"{PASSWORD}!")).status_code == 204


async def test_a_taken_username_is_refused_whether_or_not_the_email_is_taken(required, ada, bob):
    details = []
    for email in ("new@example.com", bob.email):
        refused = await required.post(USERS, json=sign_up(email, username="ADA"))
        assert refused.status_code == 409
        details.append(refused.json()["details"])

    assert details[0] == details[1]
    assert details[0][0]["field"] == "username"


async def test_the_owner_of_an_email_is_told_of_sign_ups_once_a_minute(required, ada, mailbox):
    for _ in range(3):
        await required.post(USERS, json=sign_up(ada.email))

    assert len(await mailbox.receive()) == 1


async def test_a_superuser_creates_users_as_before(required, root, mailbox):
    async with mailbox.runtime.engine.begin() as connection:
        await connection.execute(text("UPDATE users SET email_verified_at = now()"))
    headers = {"Authorization": f"Bearer {root.tokens['access_token']}"}
    answer = await required.post(USERS, json=sign_up("ada@example.com"), headers=headers)

    assert answer.status_code == 201
    assert answer.json()["email_verified_at"] is None
    assert [mail.to for mail in await mailbox.receive()] == ["ada@example.com"]


async def test_superusers_of_commands_and_settings_are_verified(client, ada, runtime):
    async with runtime.open_user_service() as users:
        promoted = await users.promote(ada.email)

    assert promoted.email_verified_at is not None


async def test_users_are_filtered_by_it(client, ada, bob, root, mailbox):
    await ada.post("/users/me/email-verification")
    await verified(client, await mailbox.token())

    async def found(value: str) -> list[int]:
        answer = await root.get("/users", params={"email_verified": value, "sort_by": "email"})
        return sorted(user["id"] for user in answer.json()["items"])

    assert await found("true") == [ada.id]
    assert await found("false") == sorted([bob.id, root.id])
    assert (await root.get("/users", params={"email_verified": "x"})).status_code == 422


async def test_without_mail_the_request_of_a_link_is_a_503(settings: Settings, ada: Person):
    async with running(settings) as app, browsing(app) as elsewhere:
        app.state.runtime.mailer._catcher = None
        headers = {"Authorization": f"Bearer {ada.tokens['access_token']}"}
        answer = await elsewhere.post(f"{API}/users/me/email-verification", headers=headers)

    assert answer.status_code == 503
    assert "MAIL_URL" in answer.json()["message"]


def test_it_cannot_be_required_in_production_without_mail(monkeypatch):
    production = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": "postgresql://user:password@localhost/app",
        "AUTH_SECRET_KEY": "k" * 32,
        "CACHE_ENABLED": "false",
        "LIMITER_ENABLED": "false",
        "AUTH_EMAIL_VERIFICATION": "required",
    }
    for name, value in production.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match="MAIL_URL"):
        load_settings()


def test_the_mode_is_one_of_three(monkeypatch):
    monkeypatch.setenv("AUTH_EMAIL_VERIFICATION", "always")

    with pytest.raises(SettingsError, match="AUTH_EMAIL_VERIFICATION"):
        load_settings()

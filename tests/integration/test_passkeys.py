"""Passkeys: registered, listed, named, removed, and used to log in and to confirm."""

import asyncio
from typing import Any

import pytest

from app.core.security import base64url
from app.core.security.mfa import challenges
from tests.authenticator import (
    BE,
    BS,
    PASSKEYS,
    UP,
    UV,
    Authenticator,
    log_in,
    register,
    registration_options,
    sign_in_options,
)
from tests.conftest import PASSWORD, Person, browsing, running
from tests.mailbox import Mailbox
from tests.mfa import execute, first_step, make_stale, mfa_token, second_step, set_up


@pytest.fixture
async def phone(ada: Person) -> Authenticator:
    """Ada's authenticator, with her passkey."""
    authenticator = Authenticator()
    answer = await register(ada, authenticator)
    assert answer.status_code == 201, answer.text
    return authenticator


async def test_the_options_demand_verification_and_a_discoverable_passkey(ada: Person):
    options = await registration_options(ada)

    assert options["rp"] == {"name": "Backend API", "id": "localhost"}
    assert options["user"]["name"] == ada.email
    assert base64url.decode(options["user"]["id"]) == ada.id.to_bytes(8)
    assert options["attestation"] == "none"
    assert options["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }


async def test_a_passkey_is_registered_and_the_first_brings_recovery_codes(ada: Person):
    first = await register(ada, Authenticator(flags=UP | UV | BE | BS), " Phone ")
    second = await register(ada, Authenticator(), "Key")

    created = first.json()
    assert first.status_code == 201
    assert len(created["recovery_codes"]) == 10
    assert second.json()["recovery_codes"] == []
    phone, key = (await ada.get(PASSKEYS)).json()
    assert phone == created["passkey"]
    assert (phone["name"], phone["is_backup_eligible"], phone["is_backed_up"]) == (
        *("Phone", True, True),
    )
    assert (key["name"], key["is_backup_eligible"], key["last_used_at"]) == ("Key", False, None)
    assert (await ada.get("/users/me")).json()["has_mfa"]


async def test_the_first_passkey_ends_all_other_sessions(ada: Person):
    other = Person(ada.client, ada.id, ada.email)
    await other.login()

    await register(ada, Authenticator())

    assert (await other.get("/users/me")).status_code == 401
    assert (await ada.get("/users/me")).status_code == 200


async def test_a_known_authenticator_is_left_out_and_refused(ada: Person, phone: Authenticator):
    options = await registration_options(ada)
    answer = await register(ada, phone)

    (excluded,) = options["excludeCredentials"]
    assert excluded["id"] == base64url.encode(phone.id)
    assert answer.status_code == 409


async def test_a_user_has_twenty_passkeys_at_most(ada: Person, runtime):
    await register(ada, Authenticator())
    await execute(
        runtime,
        "INSERT INTO passkeys (user_id, credential_id, public_key, sign_count, name, aaguid, "
        "is_backup_eligible, is_backed_up) SELECT user_id, int4send(n), public_key, 0, name, "
        "aaguid, false, false FROM passkeys, generate_series(1, 19) n",
    )

    answer = await ada.post(f"{PASSKEYS}/options")

    assert (answer.status_code, answer.json()["error"]) == (409, "conflict")


@pytest.mark.parametrize(
    "changed",
    [
        {"flags": UP},
        {"flags": UV},
        {"origin": "https://evil.example"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://["},
        {"rp_id": "evil.example"},
        {"cross_origin": True},
    ],
    ids=str,
)
async def test_a_registration_that_is_not_valid_here_is_refused(ada: Person, changed):
    answer = await register(ada, Authenticator(**changed))

    assert answer.status_code == 422
    assert answer.json()["details"][0]["field"] == "credential"
    assert (await ada.get(PASSKEYS)).json() == []


async def test_a_challenge_is_the_sessions_own_and_for_one_registration(ada: Person, bob: Person):
    options = await registration_options(ada)

    def body(authenticator: Authenticator) -> dict[str, Any]:
        return {"name": "Phone", "credential": authenticator.create(options)}

    others = await bob.post(PASSKEYS, json=body(Authenticator()))
    own = await ada.post(PASSKEYS, json=body(Authenticator()))
    again = await ada.post(PASSKEYS, json=body(Authenticator()))

    assert [one.status_code for one in (others, own, again)] == [422, 201, 422]


@pytest.mark.parametrize(
    "change",
    [
        {"id": "no base64url!"},
        {"type": "password"},
        {"response": {}},
        {"response": {"clientDataJSON": "AAAA", "attestationObject": "AAAA"}},
        {"response": {"clientDataJSON": "A" * 8193, "attestationObject": "AAAA"}},
        {"response": {"clientDataJSON": "A", "attestationObject": "A"}},
    ],
    ids=lambda change: str(change)[:40],
)
async def test_what_is_no_credential_is_a_422(ada: Person, change):
    credential = Authenticator().create(await registration_options(ada)) | change

    answer = await ada.post(PASSKEYS, json={"name": "Phone", "credential": credential})

    assert answer.status_code == 422


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\x00b"])
async def test_a_name_that_is_not_valid_is_a_422(ada: Person, phone: Authenticator, name):
    refused = await ada.patch(f"{PASSKEYS}/1", json={"name": name})

    assert refused.status_code == 422


async def test_a_passkey_is_renamed_and_removed_by_its_owner_alone(
    ada: Person, bob: Person, phone: Authenticator
):
    renamed = await ada.patch(f"{PASSKEYS}/1", json={"name": "Old phone"})
    others = [
        await bob.patch(f"{PASSKEYS}/1", json={"name": "Mine"}),
        await bob.delete(f"{PASSKEYS}/1"),
    ]
    removed = await ada.delete(f"{PASSKEYS}/1")

    assert renamed.json()["name"] == "Old phone"
    assert [one.status_code for one in others] == [404, 404]
    assert removed.status_code == 204
    assert (await ada.get(PASSKEYS)).json() == []
    assert "access_token" in (await first_step(ada)).json()


async def test_passkeys_change_only_after_a_confirmation(
    ada: Person, phone: Authenticator, runtime
):
    await make_stale(runtime)

    answers = [await ada.post(f"{PASSKEYS}/options"), await ada.delete(f"{PASSKEYS}/1")]

    assert [one.json()["error"] for one in answers] == ["confirmation_required"] * 2


async def test_the_user_is_told_by_mail(ada: Person, mailbox: Mailbox):
    await register(ada, Authenticator())
    await ada.delete(f"{PASSKEYS}/1")

    subjects = [mail.subject for mail in await mailbox.receive()]
    assert subjects == [
        "The passkey “Phone” was added: Backend API",
        "The passkey “Phone” was removed: Backend API",
    ]


async def test_a_passkey_logs_in_alone(ada: Person, phone: Authenticator):
    options = await sign_in_options(ada)
    answer = await log_in(ada, phone.get(options))

    assert options["rpId"] == "localhost"
    assert options["userVerification"] == "required"
    assert options["allowCredentials"] == []
    assert answer.status_code == 200
    ada.tokens = answer.json()
    (session,) = [
        one for one in (await ada.get("/auth/sessions")).json()["items"] if one["is_current"]
    ]
    assert session["amr"] == ["hwk", "user", "mfa"]
    assert (await ada.get(PASSKEYS)).json()[0]["last_used_at"]


async def test_asking_for_options_stores_nothing(client, statements):
    response = await client.post("/api/v1/auth/passkey/options")

    assert response.status_code == 200
    assert statements == []


async def test_beside_a_passkey_the_password_takes_a_second_step(ada: Person):
    codes = (await register(ada, Authenticator())).json()["recovery_codes"]

    first = await first_step(ada)
    second = await second_step(ada.client, first.json()["mfa_token"], codes[0])

    assert first.json()["mfa_methods"] == ["recovery_code", "passkey"]
    assert second.status_code == 200


async def test_the_last_of_two_factors_takes_the_recovery_codes_along(
    ada: Person, phone: Authenticator
):
    await set_up(ada)

    await ada.delete("/users/me/mfa/totp")
    between = await first_step(ada)
    await ada.delete(f"{PASSKEYS}/1")

    assert between.json()["mfa_methods"] == ["recovery_code", "passkey"]
    assert "access_token" in (await first_step(ada)).json()


async def test_of_two_applications_that_get_one_answer_at_once_one_lets_in(
    settings, client, ada: Person, phone: Authenticator
):
    """R19"""
    credential = phone.get(await sign_in_options(ada))
    async with running(settings) as other, browsing(other) as elsewhere:
        there = Person(elsewhere, ada.id, ada.email)
        answers = await asyncio.gather(log_in(ada, credential), log_in(there, credential))

    assert sorted(answer.status_code for answer in answers) == [200, 401]


async def test_a_challenge_expires(ada: Person, phone: Authenticator, monkeypatch):
    monkeypatch.setattr(challenges, "LIFETIME", -1)

    answer = await log_in(ada, phone.get(await sign_in_options(ada)))

    assert (answer.status_code, answer.json()["error"]) == (401, "passkey_invalid")


@pytest.mark.parametrize(
    ("changed", "response"),
    [
        ({"flags": UP}, {}),
        ({"origin": "https://evil.example"}, {}),
        ({"rp_id": "evil.example"}, {}),
        ({"cross_origin": True}, {}),
        ({"id": b"unknown"}, {}),
        ({}, {"signature": "AAAA"}),
        ({}, {"userHandle": base64url.encode((2).to_bytes(8))}),
    ],
    ids=str,
)
async def test_an_answer_that_is_not_valid_is_a_401(
    ada: Person, phone: Authenticator, changed, response
):
    for name, value in changed.items():
        setattr(phone, name, value)

    answer = await log_in(ada, phone.get(await sign_in_options(ada), **response))

    assert (answer.status_code, answer.json()["error"]) == (401, "passkey_invalid")


async def test_the_passkey_of_a_deactivated_user_does_not_let_in(
    ada: Person, root: Person, phone: Authenticator
):
    await root.patch(f"/users/{ada.id}", json={"is_active": False})

    answer = await log_in(ada, phone.get(await sign_in_options(ada)))

    assert answer.status_code == 401


async def test_a_sign_count_that_does_not_grow_is_a_warning(ada: Person, logged):
    key = Authenticator(sign_count=7)
    await register(ada, key)
    key.sign_count = 3

    answer = await log_in(ada, key.get(await sign_in_options(ada)))

    (warning,) = [line for line in logged() if line["event"] == "passkey_sign_count"]
    assert answer.status_code == 200
    assert (warning["was"], warning["now"]) == (7, 4)


async def test_a_session_is_confirmed_by_a_passkey(ada: Person, phone: Authenticator, runtime):
    await make_stale(runtime)
    credential = phone.get(await sign_in_options(ada))

    confirmed = await ada.post("/auth/confirmation", json={"passkey": credential})
    again = await ada.post("/auth/confirmation", json={"passkey": credential})
    done = await ada.delete(f"{PASSKEYS}/1")

    assert [one.status_code for one in (confirmed, again, done)] == [200, 422, 204]
    assert again.json()["details"][0]["field"] == "passkey"


async def test_codes_of_a_blocked_app_are_accepted_again_after_a_use_of_a_passkey(
    ada: Person, phone: Authenticator, runtime
):
    app = await set_up(ada)
    await execute(runtime, "UPDATE totp SET failures = 100")

    blocked = await second_step(ada.client, await mfa_token(ada), app.code)
    await log_in(ada, phone.get(await sign_in_options(ada)))
    accepted = await second_step(ada.client, await mfa_token(ada), app.code)

    assert (blocked.status_code, accepted.status_code) == (401, 200)


async def test_a_passkey_does_not_replace_the_verification_of_an_email(
    settings, client, ada: Person, phone: Authenticator, mailbox: Mailbox
):
    """An administrator has changed the email since the passkey was registered."""
    await mailbox.receive()
    required = settings.replaced(auth={"email_verification": "required"})
    async with running(required) as app, browsing(app) as browser:
        ada.client = browser
        stranger = await log_in(ada, Authenticator(id=phone.id).get(await sign_in_options(ada)))
        unsent = await mailbox.queued()
        credential = phone.get(await sign_in_options(ada))
        refused = await log_in(ada, credential)
        link = await mailbox.token("Verify")
        await browser.post("/api/v1/auth/email-verification", json={"token": link})
        again = await log_in(ada, credential)
        accepted = await log_in(ada, phone.get(await sign_in_options(ada)))

    assert (stranger.status_code, unsent) == (401, [])
    assert (refused.status_code, refused.json()["error"]) == (403, "email_unverified")
    assert (again.status_code, accepted.status_code) == (401, 200)


async def test_the_passkey_of_another_user_does_not_confirm(
    ada: Person, bob: Person, phone: Authenticator
):
    credential = phone.get(await sign_in_options(ada))

    answer = await bob.post("/auth/confirmation", json={"passkey": credential})

    assert answer.status_code == 422


async def test_a_passkey_is_enough_where_a_second_factor_is_required(settings, client, ada: Person):
    required = settings.replaced(auth={"mfa_required_for": "everyone"})
    async with running(required) as app, browsing(app) as browser:
        ada.client = browser
        login = await ada.login()
        refused = await ada.get("/auth/sessions")
        key = Authenticator()
        await register(ada, key)
        ada.tokens = (await log_in(ada, key.get(await sign_in_options(ada)))).json()

        assert login["mfa_enrolment_required"]
        assert refused.json()["error"] == "mfa_enrolment_required"
        assert (await ada.get("/auth/sessions")).status_code == 200


async def test_a_reset_removes_passkeys_too(ada: Person, phone: Authenticator, runtime):
    async with runtime.session_maker() as db:
        await runtime.mfa_service(db).reset(ada.id)

    answer = await log_in(ada, phone.get(await sign_in_options(ada)))

    assert answer.status_code == 401
    assert "access_token" in (await first_step(ada)).json()


async def test_without_a_domain_there_are_no_passkeys(settings, client, ada: Person, app):
    runtime = app.state.runtime
    async with running(settings) as other, browsing(other) as browser:
        object.__setattr__(other.state.runtime, "relying_party", None)
        ada.client = browser
        answers = [
            await ada.post(f"{PASSKEYS}/options"),
            await browser.post("/api/v1/auth/passkey/options"),
            await log_in(ada, Authenticator().get({"challenge": "AAAA"})),
        ]

    assert runtime.relying_party is not None
    assert [one.status_code for one in answers] == [404, 404, 404]


async def test_the_password_stays_a_way_in(ada: Person, phone: Authenticator):
    """With the second step: a lost passkey locks nobody out who has the recovery codes."""
    assert (
        await ada.client.post("/api/v1/auth/login", json={"email": ada.email, "password": PASSWORD})
    ).status_code == 200

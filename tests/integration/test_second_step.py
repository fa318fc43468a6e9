"""The second step of a login."""

import asyncio

import pytest

from app.core.security import tokens
from tests.conftest import PASSWORD, Person, browsing, running
from tests.integration.test_rate_limits import limiting, refused
from tests.mfa import MFA, code_at, execute, first_step, mfa_token, second_step, set_up

UPDATE = "UPDATE totp SET last_step = 0"


async def test_a_login_with_a_second_factor_takes_two_steps(ada: Person):
    app = await set_up(ada)

    first = await first_step(ada)
    second = await second_step(ada.client, first.json()["mfa_token"], app.code)

    assert first.status_code == 200
    assert set(first.json()) == {"mfa_token", "mfa_methods", "expires_in"}
    assert first.json()["mfa_methods"] == ["totp", "recovery_code"]
    assert first.json()["expires_in"] == 300
    ada.tokens = second.json()
    (session,) = [
        one for one in (await ada.get("/auth/sessions")).json()["items"] if one["is_current"]
    ]
    assert session["amr"] == ["pwd", "otp", "mfa"]


async def test_the_form_of_oauth_refuses_with_what_the_second_step_needs(ada: Person):
    app = await set_up(ada)

    form = {"username": ada.email, "password": PASSWORD}
    refusal = await ada.client.post("/api/v1/auth/token", data=form)
    completed = await second_step(ada.client, refusal.json()["mfa_token"], app.code)

    assert refusal.status_code == 400
    assert refusal.json()["error"] == "mfa_required"
    assert refusal.json()["error_description"] == "A second factor is required"
    assert refusal.json()["mfa_methods"] == "totp recovery_code"
    assert refusal.json()["expires_in"] == "300"
    assert completed.status_code == 200


async def test_a_wrong_password_is_answered_as_without_a_second_factor(ada: Person, bob: Person):
    await set_up(ada)
    wrong = [{"email": one.email, "password": "wrong"} for one in (ada, bob)]

    answers = [await ada.client.post("/api/v1/auth/login", json=body) for body in wrong]

    bodies = [answer.json() | {"request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert bodies[0] == bodies[1]


async def test_a_login_without_a_second_factor_takes_no_statement_for_one(
    client, ada: Person, statements
):
    statements.clear()

    await ada.login()

    kinds = [sql.split()[0] for sql in statements if "audit_events" not in sql]
    # The third looks for devices that are known, where the service sends mail; the last is of the
    # day on which the user was seen.
    assert kinds == ["SELECT", "SELECT", "SELECT", "INSERT", "INSERT"]


async def test_a_code_is_accepted_once(ada: Person):
    app = await set_up(ada)

    first = await second_step(ada.client, await mfa_token(ada), app.code)
    second = await second_step(ada.client, await mfa_token(ada), app.code)

    assert (first.status_code, second.status_code) == (200, 401)
    assert second.json()["error"] == "mfa_code_invalid"


async def test_the_code_that_confirmed_the_app_does_not_log_in(ada: Person):
    app = await set_up(ada)

    response = await second_step(ada.client, await mfa_token(ada), code_at(app.secret))

    assert response.status_code == 401


async def test_of_two_applications_that_get_one_code_at_once_one_lets_in(
    settings, client, ada: Person
):
    """R19"""
    app = await set_up(ada)
    async with running(settings) as other, browsing(other) as elsewhere:
        for _ in range(2):
            found = [await mfa_token(ada), await mfa_token(ada)]

            answers = await asyncio.gather(
                second_step(ada.client, found[0], app.code),
                second_step(elsewhere, found[1], app.code),
            )

            assert sorted(answer.status_code for answer in answers) == [200, 401]
            await execute(other.state.runtime, UPDATE)


async def test_of_two_applications_that_get_one_recovery_code_at_once_one_lets_in(
    settings, client, ada: Person
):
    """R19"""
    app = await set_up(ada)
    async with running(settings) as other, browsing(other) as elsewhere:
        found = [await mfa_token(ada), await mfa_token(ada)]
        answers = await asyncio.gather(
            second_step(ada.client, found[0], app.recovery_codes[0]),
            second_step(elsewhere, found[1], app.recovery_codes[0]),
        )

    assert sorted(answer.status_code for answer in answers) == [200, 401]
    assert (await ada.get(MFA)).json()["recovery_codes_left"] == 9


async def test_of_two_applications_that_get_one_token_at_once_one_lets_in(
    settings, client, ada: Person
):
    """R19. The code that came too late stays unused."""
    app = await set_up(ada)
    token = await mfa_token(ada)
    async with running(settings) as other, browsing(other) as elsewhere:
        answers = await asyncio.gather(
            second_step(ada.client, token, app.recovery_codes[0]),
            second_step(elsewhere, token, app.recovery_codes[1]),
        )

    assert sorted(answer.status_code for answer in answers) == [200, 401]
    assert {answer.json().get("error") for answer in answers} == {None, "token_revoked"}
    assert (await ada.get(MFA)).json()["recovery_codes_left"] == 9


async def test_a_token_is_bound_to_the_client(ada: Person):
    app = await set_up(ada)
    token = await mfa_token(ada, headers={"User-Agent": "first"})

    other = await second_step(ada.client, token, app.code, headers={"User-Agent": "second"})
    same = await second_step(ada.client, token, app.code, headers={"User-Agent": "first"})

    assert (other.status_code, other.json()["error"]) == (401, "token_invalid")
    assert same.status_code == 200


async def test_a_new_password_makes_a_token_void(ada: Person):
    app = await set_up(ada)
    token = await mfa_token(ada)
    change = {"current_password": PASSWORD, "new_password": f"{PASSWORD}!"}
    assert (await ada.post("/auth/password", json=change)).status_code == 204

    assert (await second_step(ada.client, token, app.code)).status_code == 401


async def test_a_deactivated_user_does_not_complete_a_login(ada: Person, root: Person):
    app = await set_up(ada)
    token = await mfa_token(ada)
    await root.patch(f"/users/{ada.id}", json={"is_active": False})

    assert (await second_step(ada.client, token, app.code)).status_code == 401


async def test_a_token_expires(ada: Person, runtime, monkeypatch):
    app = await set_up(ada)
    monkeypatch.setitem(runtime.tokens._ttl, "mfa", -1)

    response = await second_step(ada.client, await mfa_token(ada), app.code)

    assert (response.status_code, response.json()["error"]) == (401, "token_expired")
    assert tokens.MFA_TTL == 300


async def test_tokens_of_the_two_steps_are_not_exchangeable(ada: Person):
    app = await set_up(ada)
    token = await mfa_token(ada)
    bearer = {"Authorization": f"Bearer {token}"}

    assert (await ada.client.get("/api/v1/users/me", headers=bearer)).status_code == 401
    response = await second_step(ada.client, ada.tokens["access_token"], app.code)
    assert (response.status_code, response.json()["error"]) == (401, "token_invalid")


@pytest.mark.parametrize("code", ["", "000000", "\x00", "ABCD-EFGH-IJKL-MNOP", "x" * 65, "🙂"])
async def test_what_is_no_code_is_refused(ada: Person, code):
    await set_up(ada)

    response = await second_step(ada.client, await mfa_token(ada), code)

    assert response.status_code == (422 if len(code) > 64 else 401)


async def test_a_hundred_wrong_codes_block_the_app_until_another_factor_is_used(
    ada: Person, runtime, logged
):
    app = await set_up(ada)
    await execute(runtime, "UPDATE totp SET failures = 99")
    token = await mfa_token(ada)

    await second_step(ada.client, token, "000000")
    blocked = await second_step(ada.client, token, app.code)
    recovered = await second_step(ada.client, token, app.recovery_codes[0])
    again = await second_step(ada.client, await mfa_token(ada), app.code)

    assert [one.status_code for one in (blocked, recovered, again)] == [401, 200, 200]
    assert any(line["event"] == "mfa_blocked" for line in logged())


async def test_codes_are_limited_apart_from_passwords(settings, client, ada: Person):
    app = await set_up(ada)
    async with limiting(settings, second_factor="2/minute") as strict, browsing(strict) as browser:
        ada.client = browser
        tokens = [await mfa_token(ada) for _ in range(3)]
        answers = [await second_step(browser, token, "000000") for token in tokens]
        confirmation = await ada.post("/auth/confirmation", json={"code": app.code})
        password = await ada.post("/auth/confirmation", json={"password": PASSWORD})

    assert [answer.status_code for answer in answers[:2]] == [401, 401]
    assert refused(answers[2])
    assert refused(confirmation)
    assert password.status_code == 200

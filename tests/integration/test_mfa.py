"""Authenticator apps and recovery codes: set up, shown, renewed, removed."""

import re

import pytest
from pydantic import SecretStr

from tests.conftest import PASSWORD, Person, browsing, person, running
from tests.mailbox import Mailbox
from tests.mfa import (
    MFA,
    code_at,
    execute,
    first_step,
    make_stale,
    mfa_token,
    second_step,
    set_up,
)

OLD, NEW = SecretStr("o" * 32), SecretStr("n" * 32)


async def test_an_app_counts_once_its_first_code_has_come(ada: Person):
    begun = (await ada.post(f"{MFA}/totp")).json()
    before = (await ada.get("/users/me")).json()["has_mfa"]
    wrong = await ada.post(f"{MFA}/totp/confirmation", json={"code": "000000"})
    done = await ada.post(f"{MFA}/totp/confirmation", json={"code": code_at(begun["secret"])})

    assert (wrong.status_code, wrong.json()["details"][0]["code"]) == (422, "wrong_code")
    assert done.status_code == 200
    assert len(set(done.json()["recovery_codes"])) == 10
    assert not before
    assert (await ada.get("/users/me")).json()["has_mfa"]
    status = (await ada.get(MFA)).json()
    assert status["totp_confirmed_at"]
    assert status["recovery_codes_left"] == 10
    assert not status["is_required"]


async def test_the_qr_code_is_svg_that_the_pages_may_show(ada: Person):
    begun = (await ada.post(f"{MFA}/totp")).json()

    assert begun["uri"].startswith("otpauth://totp/Backend%20API:ada%40example.com?secret=")
    assert begun["qr_code"].startswith("<svg ")
    assert not re.search(r"style|href|script|\bon\w+=", begun["qr_code"])


async def test_a_proposal_replaces_the_one_before(ada: Person):
    first = (await ada.post(f"{MFA}/totp")).json()["secret"]
    second = (await ada.post(f"{MFA}/totp")).json()["secret"]

    refused = await ada.post(f"{MFA}/totp/confirmation", json={"code": code_at(first)})
    done = await ada.post(f"{MFA}/totp/confirmation", json={"code": code_at(second)})

    assert (refused.status_code, done.status_code) == (422, 200)


async def test_a_second_app_is_refused(ada: Person):
    app = await set_up(ada)

    again = await ada.post(f"{MFA}/totp")
    confirmed = await ada.post(f"{MFA}/totp/confirmation", json={"code": app.code})

    assert (again.status_code, confirmed.status_code) == (409, 409)


async def test_the_first_factor_ends_all_other_sessions(ada: Person):
    other = Person(ada.client, ada.id, ada.email)
    await other.login()

    await set_up(ada)

    assert (await other.get("/users/me")).status_code == 401
    assert (await ada.get("/users/me")).status_code == 200


async def test_secrets_and_codes_are_not_stored_in_clear_nor_logged(ada: Person, runtime, logged):
    app = await set_up(ada)
    await second_step(ada.client, await mfa_token(ada), app.recovery_codes[0])

    rows = await execute(runtime, "SELECT secret, key_id FROM totp")
    hashes = await execute(runtime, "SELECT code_hash FROM recovery_codes")
    jobs = await execute(runtime, "SELECT convert_from(payload, 'UTF8') FROM pgqueuer")
    stored, told = repr([rows, hashes, jobs]), repr(logged())
    assert rows[0][1] == runtime.totp_cipher.key_id
    for secret in (
        app.secret,
        *app.recovery_codes,
        *(c.replace("-", "") for c in app.recovery_codes),
    ):
        assert secret not in stored
        assert secret not in told


async def test_the_user_is_told_by_mail_of_each_change(ada: Person, mailbox: Mailbox):
    await set_up(ada)
    await ada.post(f"{MFA}/recovery-codes")
    await ada.delete(f"{MFA}/totp")

    subjects = [mail.subject for mail in await mailbox.receive()]
    assert subjects == [
        "An authenticator app was set up: Backend API",
        "New recovery codes were made: Backend API",
        "The authenticator app was removed: Backend API",
    ]


async def test_new_recovery_codes_replace_the_old_ones(ada: Person):
    app = await set_up(ada)

    renewed = await ada.post(f"{MFA}/recovery-codes")

    assert renewed.status_code == 201
    assert not {*renewed.json()["recovery_codes"]} & {*app.recovery_codes}
    token = await mfa_token(ada)
    assert (await second_step(ada.client, token, app.recovery_codes[0])).status_code == 401
    code = renewed.json()["recovery_codes"][0]
    assert (await second_step(ada.client, token, code)).status_code == 200


async def test_there_are_no_recovery_codes_without_a_factor(ada: Person):
    assert (await ada.post(f"{MFA}/recovery-codes")).status_code == 409


async def test_without_the_app_a_login_takes_one_step_again(ada: Person):
    await set_up(ada)

    removed = await ada.delete(f"{MFA}/totp")
    again = await ada.delete(f"{MFA}/totp")

    assert (removed.status_code, again.status_code) == (204, 404)
    assert "access_token" in (await first_step(ada)).json()
    assert (await ada.get(MFA)).json()["recovery_codes_left"] == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/totp"), ("DELETE", "/totp"), ("POST", "/recovery-codes")],
)
async def test_factors_change_only_after_a_confirmation(ada: Person, runtime, method, path):
    if path != "/totp" or method == "DELETE":
        await set_up(ada)
    await make_stale(runtime)

    refused = await ada.request(method, f"{MFA}{path}")
    confirmed = await ada.post("/auth/confirmation", json={"password": PASSWORD})
    done = await ada.request(method, f"{MFA}{path}")

    assert (refused.status_code, refused.json()["error"]) == (403, "confirmation_required")
    assert confirmed.status_code == 200
    assert done.is_success


async def test_a_proposed_app_counts_only_after_a_confirmation(ada: Person, runtime):
    """Whoever has a token of the session could have proposed it while that was fresh."""
    secret = (await ada.post(f"{MFA}/totp")).json()["secret"]
    await make_stale(runtime)

    refused = await ada.post(f"{MFA}/totp/confirmation", json={"code": code_at(secret)})
    await ada.post("/auth/confirmation", json={"password": PASSWORD})
    done = await ada.post(f"{MFA}/totp/confirmation", json={"code": code_at(secret)})

    assert (refused.status_code, refused.json()["error"]) == (403, "confirmation_required")
    assert done.status_code == 200


async def test_the_secret_of_another_user_cannot_be_put_in_place(ada: Person, bob: Person, runtime):
    await set_up(ada)
    bobs = await set_up(bob)
    await execute(runtime, "UPDATE totp SET secret = (SELECT secret FROM totp WHERE user_id = 2)")

    assert (await second_step(ada.client, await mfa_token(ada), bobs.code)).status_code == 401
    assert (await second_step(bob.client, await mfa_token(bob), bobs.code)).status_code == 200


async def test_secrets_outlive_a_change_of_the_key_once_they_are_encrypted_anew(client, settings):
    def keys(key: SecretStr, *accepted: SecretStr):
        return settings.replaced(auth={"secret_key": key, "accepted_secret_keys": accepted})

    async with running(keys(OLD)) as app, browsing(app) as browser:
        ada = await person(browser, app.state.runtime, "ada")
        factor = await set_up(ada)
    async with running(keys(NEW, OLD)) as app, browsing(app) as browser:
        ada.client, runtime = browser, app.state.runtime
        accepted = await second_step(browser, await mfa_token(ada), factor.code)
        async with runtime.session_maker() as db:
            resealed = await runtime.mfa_service(db).reseal()
        async with runtime.session_maker() as db:
            again = await runtime.mfa_service(db).reseal()
        await execute(runtime, "UPDATE totp SET last_step = 0")
    async with running(keys(NEW)) as app, browsing(app) as browser:
        ada.client = browser
        after = await second_step(browser, await mfa_token(ada), factor.code)

    assert (resealed, again) == ((1, 0), (0, 0))
    assert (accepted.status_code, after.status_code) == (200, 200)


async def test_a_secret_whose_key_is_gone_is_reported_and_refused(client, settings, logged):
    old = settings.replaced(auth={"secret_key": OLD})
    async with running(old) as app, browsing(app) as browser:
        ada = await person(browser, app.state.runtime, "ada")
        factor = await set_up(ada)
    new = settings.replaced(auth={"secret_key": NEW})
    async with running(new) as app, browsing(app) as browser:
        ada.client, runtime = browser, app.state.runtime
        refused = await second_step(browser, await mfa_token(ada), factor.code)
        recovered = await second_step(browser, await mfa_token(ada), factor.recovery_codes[0])
        async with runtime.session_maker() as db:
            resealed = await runtime.mfa_service(db).reseal()

    assert (refused.status_code, recovered.status_code) == (401, 200)
    assert resealed == (0, 1)


async def test_lists_are_filtered_by_who_has_a_second_factor(ada: Person, root: Person):
    await set_up(ada)

    having = await root.get("/users", params={"has_mfa": "true"})
    lacking = await root.get("/users", params={"has_mfa": "false"})

    assert [user["username"] for user in having.json()["items"]] == ["ada"]
    assert [user["username"] for user in lacking.json()["items"]] == ["root"]


async def test_an_administrators_reset_removes_all_factors_and_sessions_and_is_told(
    ada: Person, root: Person, runtime, mailbox: Mailbox
):
    await set_up(ada)
    await mailbox.receive()
    await make_stale(runtime)

    refused = await root.delete(f"/users/{ada.id}/mfa")
    await root.post("/auth/confirmation", json={"password": PASSWORD})
    done = await root.delete(f"/users/{ada.id}/mfa")

    assert (refused.status_code, refused.json()["error"]) == (403, "confirmation_required")
    assert done.status_code == 204
    assert (await ada.get("/users/me")).status_code == 401
    assert "access_token" in (await first_step(ada)).json()
    (mail,) = [one for one in await mailbox.receive() if one.to == ada.email]
    assert mail.subject == "An administrator removed all second factors: Backend API"
    (event,) = (await root.get("/audit", params={"action": "mfa.reset"})).json()["items"]
    assert (event["actor"], event["target"]) == (f"user:{root.id}", f"user:{ada.id}")
    assert event["after"] == {"sessions_ended": 1}


async def test_no_administrator_resets_the_factors_of_a_superuser(
    ada: Person, root: Person, runtime
):
    await set_up(root)
    await execute(
        runtime, "INSERT INTO roles (id, name, permissions) VALUES (9, 'help', '{users:update}')"
    )
    await execute(runtime, f"INSERT INTO user_roles (user_id, role_id) VALUES ({ada.id}, 9)")

    refused = await ada.delete(f"/users/{root.id}/mfa")

    assert refused.status_code == 403
    assert (await root.get("/users/me")).json()["has_mfa"]

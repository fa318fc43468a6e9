"""Grave actions need a login or a confirmation within the last ten minutes."""

import json

import pytest

from tests.authenticator import PASSKEYS, Authenticator, register
from tests.conftest import PASSWORD, Person, browsing
from tests.integration.test_rate_limits import limiting
from tests.mfa import execute, make_stale, set_up

CONFIRMATION = "/auth/confirmation"


async def test_a_fresh_login_is_a_confirmation(root: Person, ada: Person):
    assert (await root.delete(f"/users/{ada.id}")).status_code == 204


async def test_a_grave_action_needs_one_after_ten_minutes(root: Person, ada: Person, runtime):
    await make_stale(runtime)

    refused = await root.delete(f"/users/{ada.id}")
    confirmed = await root.post(CONFIRMATION, json={"password": PASSWORD})
    done = await root.delete(f"/users/{ada.id}")

    assert (refused.status_code, refused.json()["error"]) == (403, "confirmation_required")
    assert confirmed.status_code == 200
    assert confirmed.json()["confirmed_until"] > "2026"
    assert done.status_code == 204


async def test_a_session_from_before_the_column_counts_from_its_login(root: Person, runtime):
    await execute(
        runtime,
        "UPDATE sessions SET confirmed_at = NULL, created_at = now() - interval '11 minutes'",
    )

    assert (await root.delete("/users/999")).json()["error"] == "confirmation_required"


async def test_other_actions_need_none(root: Person, ada: Person, runtime):
    await make_stale(runtime)

    response = await root.patch(f"/users/{ada.id}", json={"full_name": "Ada King"})

    assert response.status_code == 200


@pytest.mark.parametrize("promoted", [True, False])
async def test_a_change_of_superuser_rights_needs_one(root: Person, ada: Person, runtime, promoted):
    await execute(runtime, f"UPDATE users SET is_superuser = {not promoted} WHERE id = {ada.id}")
    await make_stale(runtime)
    change = {"is_superuser": promoted}

    refused = await root.patch(f"/users/{ada.id}", json=change)
    await root.post(CONFIRMATION, json={"password": PASSWORD})
    done = await root.patch(f"/users/{ada.id}", json=change)

    assert (refused.status_code, refused.json()["error"]) == (403, "confirmation_required")
    assert done.json()["is_superuser"] is promoted


async def test_another_users_email_needs_one(root: Person, ada: Person, runtime):
    """Whoever has the new mailbox could log in as this user, without a confirmation."""
    await make_stale(runtime)
    change = {"email": "new@example.com"}

    refused = await root.patch(f"/users/{ada.id}", json=change)
    same = await root.patch(f"/users/{ada.id}", json={"email": ada.email})
    await root.post(CONFIRMATION, json={"password": PASSWORD})
    done = await root.patch(f"/users/{ada.id}", json=change)

    assert (refused.status_code, refused.json()["error"]) == (403, "confirmation_required")
    assert (same.status_code, done.json()["email"]) == (200, "new@example.com")


async def test_a_form_that_repeats_the_rights_needs_none(root: Person, ada: Person, runtime):
    await make_stale(runtime)

    response = await root.patch(f"/users/{ada.id}", json={"is_superuser": False})

    assert response.status_code == 200


async def test_new_superusers_need_one(root: Person, runtime):
    await make_stale(runtime)
    new = {"email": "new@example.com", "password": PASSWORD, "is_superuser": True}

    single = await root.post("/users", json=new)
    bulk = await root.post("/users/bulk", json=[new])
    plain = await root.post("/users", json=new | {"is_superuser": False})

    assert (single.status_code, single.json()["error"]) == (403, "confirmation_required")
    assert (bulk.status_code, bulk.json()["error"]) == (403, "confirmation_required")
    assert plain.status_code == 201


async def test_a_session_is_confirmed_by_a_code(ada: Person, runtime):
    app = await set_up(ada)
    await make_stale(runtime)

    wrong = await ada.post(CONFIRMATION, json={"code": "000000"})
    right = await ada.post(CONFIRMATION, json={"code": app.code})
    again = await ada.post(CONFIRMATION, json={"code": app.code})
    recovery = await ada.post(CONFIRMATION, json={"code": app.recovery_codes[0]})

    assert (wrong.status_code, wrong.json()["details"][0]["code"]) == (422, "wrong_code")
    assert [one.status_code for one in (right, again, recovery)] == [200, 422, 200]


async def test_one_session_is_confirmed_and_no_other(root: Person, runtime):
    other = Person(root.client, root.id, root.email)
    await other.login()
    await make_stale(runtime)

    await root.post(CONFIRMATION, json={"password": PASSWORD})

    assert (await other.delete("/users/999")).status_code == 403
    assert (await root.delete("/users/999")).status_code == 404


@pytest.mark.parametrize(
    "add", [set_up, lambda ada: register(ada, Authenticator())], ids=["app", "passkey"]
)
async def test_a_new_factor_is_no_confirmation(ada: Person, runtime, add):
    """It does not prove who adds it."""
    earlier = "UPDATE sessions SET confirmed_at = coalesce(confirmed_at, created_at) - interval"
    await execute(runtime, f"{earlier} '9 minutes'")

    await add(ada)
    await execute(runtime, f"{earlier} '2 minutes'")
    refused = await ada.post(f"{PASSKEYS}/options")

    assert refused.json()["error"] == "confirmation_required"


async def test_guesses_of_the_password_are_counted_together_wherever_it_proves_something(
    settings, client, ada: Person
):
    """With a stolen access token, there are no more than at one of these doors."""
    guess, new = {"current_password": "a guess"}, {"new_password": f"{PASSWORD}!"}
    doors = {
        CONFIRMATION: {"password": "a guess"},
        "/auth/password": guess | new,
        "/users/me/email": guess | {"email": "new@example.com"},
        "/users/me/deletion": guess,
    }
    async with limiting(settings, login="3/minute") as strict, browsing(strict) as browser:
        ada.client = browser
        answers = [await ada.post(path, json=body) for path, body in doors.items()]

    assert [answer.status_code for answer in answers] == [422, 422, 422, 429]


@pytest.mark.parametrize(
    ("proof", "field"),
    [
        ({"password": "wrong"}, "password"),
        ({"password": "\ud800"}, "password"),
        ({"code": "123456"}, "code"),
        ({"password": PASSWORD, "code": "123456"}, "body"),
        ({}, "body"),
        ({"password": None}, "body"),
    ],
)
async def test_a_wrong_proof_is_a_422(ada: Person, runtime, proof, field):
    await make_stale(runtime)
    headers = {"Content-Type": "application/json"}

    response = await ada.post(CONFIRMATION, headers=headers, content=json.dumps(proof))

    assert response.status_code == 422
    assert response.json()["details"][0]["field"] == field

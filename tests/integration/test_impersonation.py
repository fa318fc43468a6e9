"""Superusers who act as other users: how it begins and ends, what it allows, who sees it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from jose import jwt
from sqlalchemy import text

from app.runtime import Runtime
from tests.conftest import PASSWORD, Person, browsing, person, running
from tests.impersonation import REASON, act_as
from tests.integration.test_api_keys import events, robot_of
from tests.integration.test_roles import give
from tests.mfa import make_stale


def claims(token: str) -> dict[str, Any]:
    read: dict[str, Any] = jwt.get_unverified_claims(token)
    return read


async def row(runtime: Runtime, session_id: str) -> dict[str, Any]:
    async with runtime.engine.connect() as connection:
        query = text("SELECT * FROM sessions WHERE id = :id")
        return dict((await connection.execute(query, {"id": session_id})).mappings().one())


async def test_a_superuser_sees_what_the_user_sees(root, ada):
    acting = await act_as(root, ada)

    me = await acting.get("/users/me")
    stats = await acting.get("/dashboard/stats")

    assert (me.json()["email"], stats.status_code) == (ada.email, 403)
    assert acting.tokens["expires_in"] == 3600
    assert set(acting.tokens) == {"access_token", "token_type", "expires_in", "session_id"}


async def test_the_token_names_both_and_expires_with_the_session(root, ada, runtime):
    acting = await act_as(root, ada)

    read, own = claims(acting.tokens["access_token"]), claims(root.tokens["access_token"])
    session = await row(runtime, acting.tokens["session_id"])

    assert (read["sub"], read["act"]) == (str(ada.id), {"sub": str(root.id), "sid": own["sid"]})
    assert (read["sid"], read["scope"]) == (acting.tokens["session_id"], "read")
    assert read["typ"] == "access+act"  # which a release without impersonation refuses
    assert datetime.fromtimestamp(read["exp"], UTC) == session["expires_at"]
    assert 3590 < (session["expires_at"] - datetime.now(UTC)).total_seconds() <= 3600


@pytest.mark.parametrize("kind", ["access", "page"])
async def test_use_does_not_extend_it(root, ada, runtime, kind):
    acting = await act_as(root, ada)
    session_id = acting.tokens["session_id"]
    before = (await row(runtime, session_id))["expires_at"]
    async with runtime.engine.begin() as connection:
        query = "UPDATE sessions SET last_seen_at = last_seen_at - interval '10 minutes'"
        await connection.execute(text(query))
    read = runtime.tokens.read(acting.tokens["access_token"])
    assert read.actor is not None
    token = runtime.tokens.sign_for(read.actor, read.user_id, read.session_id, kind)

    await runtime.authenticator.principal(token, kind)

    assert (await row(runtime, session_id))["expires_at"] == before


async def test_no_refresh_token_renews_it(root, ada, runtime):
    """Even if somebody had its refresh token, which is never sent."""
    acting = await act_as(root, ada)
    session_id = UUID(acting.tokens["session_id"])
    refresh_token = runtime.tokens.refresh.new(session_id)
    known = {"hash": runtime.tokens.refresh.read(refresh_token).hash, "id": session_id}
    async with runtime.engine.begin() as connection:
        query = text("UPDATE sessions SET refresh_hash = :hash WHERE id = :id")
        await connection.execute(query, known)

    answer = await ada.post("/auth/refresh", json={"refresh_token": refresh_token})

    assert answer.status_code == 401


async def test_requests_in_it_cost_no_query(root, ada, statements):
    acting = await act_as(root, ada)
    await acting.get("/users/me")
    statements.clear()

    assert (await acting.get("/users/me")).status_code == 200

    assert statements == []


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("POST", "/auth/password", {"current_password": PASSWORD, "new_password": f"{PASSWORD}!"}),
        ("POST", "/auth/confirmation", {"password": PASSWORD}),
        ("POST", "/auth/logout-all", None),
        ("DELETE", "/auth/sessions/00000000-0000-0000-0000-000000000000", None),
        ("POST", "/api-keys", {"name": "x"}),
        ("POST", "/users/me/mfa/totp", None),
        ("POST", "/users/me/deletion", {"current_password": PASSWORD}),
        ("POST", "/users/me/email", {"email": "x@example.com", "current_password": PASSWORD}),
        ("PATCH", "/users/me", {"full_name": "Eve"}),
        ("PATCH", "/users/2", {"full_name": "Eve"}),
        ("PATCH", "/users/%32", {"full_name": "Eve"}),
        ("PUT", "/users/2/roles", {"roles": []}),
        ("DELETE", "/users/2/sessions", None),
        ("DELETE", "/users/2", None),
        ("POST", "/users", {"email": "new@example.com", "password": PASSWORD}),
        ("POST", "/users/bulk", []),
        ("POST", "/users/3/impersonation", {"reason": REASON}),
    ],
)
@pytest.mark.parametrize("is_read_only", [True, False])
async def test_it_never_changes_the_account(root, ada, bob, method, path, sent, is_read_only):
    await give(root, ada, "users:update", "users:create", "users:delete", "sessions:end")
    assert (ada.id, bob.id) == (2, 3)
    acting = await act_as(root, ada, is_read_only=is_read_only)

    answer = await acting.request(method, path, json=sent)

    code = "impersonation_read_only" if is_read_only else "impersonation_forbidden"
    assert (answer.status_code, answer.json()["error"]) == (403, code)
    assert (await ada.get("/users/me")).json()["full_name"] is None


async def test_the_users_own_data_are_not_exported(root, ada, runtime):
    acting = await act_as(root, ada)

    answer = await acting.get("/users/me/export")

    assert (answer.status_code, answer.json()["error"]) == (403, "impersonation_forbidden")
    assert await events(runtime, "data.exported") == []


async def test_with_changes_allowed_it_does_what_the_user_may_beyond_the_account(root, ada, bob):
    await give(root, ada, "users:update")
    looking, acting = await act_as(root, ada), await act_as(root, ada, is_read_only=False)
    change = {"full_name": "Bob Ross"}

    answers = [await one.patch(f"/users/{bob.id}", json=change) for one in (looking, acting)]

    assert [answer.status_code for answer in answers] == [403, 200]


async def test_every_event_names_both(root, ada, bob, runtime):
    await give(root, ada, "users:update")
    acting = await act_as(root, ada, is_read_only=False)

    await acting.patch(f"/users/{bob.id}", json={"full_name": "Bob Ross"})
    await acting.post("/auth/logout")

    (started,) = await events(runtime, "impersonation.started")
    (changed,) = await events(runtime, "user.updated")
    (ended,) = await events(runtime, "impersonation.ended")
    session = f"session:{acting.tokens['session_id']}"
    assert (started["actor"], started["impersonator_id"]) == (f"user:{root.id}", None)
    for event in (changed, ended):
        assert (event["actor"], event["impersonator_id"]) == (f"user:{ada.id}", root.id)
    for event in (started, ended):
        assert (event["target"], event["user_id"]) == (session, ada.id)
        assert event["after"]["reason"] == REASON
    assert started["after"]["is_read_only"] is False


async def test_refusals_name_both_and_are_not_counted_with_those_of_the_user(settings, root, ada):
    acting = await act_as(root, ada)
    async with running(settings) as app, browsing(app) as client:  # without those of other tests
        own: Runtime = app.state.runtime
        for one in (acting, ada):
            there = replace(one, client=client)
            answers = [await there.request("PUT", "/users/2/roles", json={}) for _ in range(9)]
            assert {answer.status_code for answer in answers} == {403}
        await own.refusals.write(is_last=True)
        refused = await events(own, "access.refused")

    numbers = dict.fromkeys([root.id, None], 0)
    for event in refused:
        assert event["actor"] == f"user:{ada.id}"
        numbers[event["impersonator_id"]] += event["count"]
    assert numbers == {root.id: 9, None: 9}


async def test_each_line_of_the_access_log_names_both(root, ada, logged):
    acting = await act_as(root, ada)
    await acting.get("/users/me")
    await ada.get("/users/me")

    lines = [line for line in logged() if line.get("path") == "/api/v1/users/me"]

    assert [(line["principal"], line.get("impersonator")) for line in lines] == [
        (ada.id, root.id),
        (ada.id, None),
    ]


async def test_the_user_sees_it_in_events_and_sessions_without_who_it_is(root, ada):
    acting = await act_as(root, ada)

    seen = (await ada.get("/users/me/events")).json()["items"][0]
    listed = (await ada.get("/auth/sessions")).json()["items"]
    by_superuser = (await root.get(f"/users/{ada.id}/sessions")).json()["items"]

    assert (seen["action"], seen["is_own"], seen["address"]) == (
        "impersonation.started",
        False,
        None,
    )
    assert seen["after"]["reason"] == REASON
    for sessions in (listed, by_superuser):
        (session,) = [one for one in sessions if one["is_impersonation"]]
        assert session["id"] == acting.tokens["session_id"]
        assert (session["user_agent"], session["address"], session["amr"]) == (None, None, [])
    assert len(listed) == 2


async def test_an_export_of_the_users_data_does_not_tell_who_it_was(root, ada):
    await act_as(root, ada)

    data = (await ada.get("/users/me/export")).json()

    (session,) = [one for one in data["sessions"] if one["impersonation_reason"]]
    assert (session["impersonator_id"], session["impersonator_session_id"]) == (None, None)
    own = (await root.get("/users/me/export")).json()
    assert len(own["sessions"]) == 1


async def test_the_user_is_told_by_mail_and_of_no_new_device(root, ada, mailbox):
    await mailbox.queued()

    await act_as(root, ada)

    (mail,) = await mailbox.receive()
    assert (mail.to, "An administrator acts as you" in mail.subject) == (ada.email, True)
    assert REASON not in mail.text


async def test_a_first_login_after_one_is_not_from_a_new_device(client, runtime, root, mailbox):
    eve = await person(client, runtime, "eve")
    async with runtime.engine.begin() as connection:
        await connection.execute(text("DELETE FROM sessions WHERE user_id = 2"))
    await act_as(root, eve)
    await mailbox.queued()

    await eve.login()

    assert await mailbox.queued() == []


@pytest.mark.parametrize("body", [{}, {"reason": "  x "}, {"reason": "x" * 201}])
async def test_it_needs_a_reason(root, ada, body):
    answer = await root.post(f"/users/{ada.id}/impersonation", json=body)

    assert (answer.status_code, answer.json()["details"][0]["field"]) == (422, "reason")


async def test_only_active_plain_users_are_impersonated(client, runtime, root, ada, bob):
    other = await person(client, runtime, "other", is_superuser=True)
    await root.patch(f"/users/{bob.id}", json={"is_active": False})
    body = {"reason": REASON}

    statuses = [
        (await root.post(f"/users/{user_id}/impersonation", json=body)).status_code
        for user_id in (other.id, root.id, bob.id, 4711)
    ]

    assert statuses == [403, 403, 409, 404]


async def test_it_takes_a_superuser_in_a_session_who_confirmed_lately(root, ada, bob, runtime):
    await give(root, ada, *["users:read", "users:update", "sessions:read", "roles:manage"])
    place, body = f"/users/{bob.id}/impersonation", {"reason": REASON}
    robot = await robot_of(root, "users:read", "users:update")

    by_role = await ada.post(place, json=body)
    by_key = await robot.request("POST", place, json=body)
    await make_stale(runtime)
    stale = await root.post(place, json=body)

    assert (by_role.status_code, by_key.status_code) == (403, 403)
    assert (stale.status_code, stale.json()["error"]) == (403, "confirmation_required")


async def test_no_confirmation_is_read_from_its_age(root, ada, runtime):
    acting = await act_as(root, ada, is_read_only=False)

    async with runtime.session_maker() as db:
        confirmations = runtime.confirmation_service(db)
        principal = await runtime.authenticator.principal(acting.tokens["access_token"])
        assert await confirmations.is_confirmed(principal) is False


async def logs_out(root: Person, _: Person) -> None:
    assert (await root.post("/auth/logout")).status_code == 204


async def logs_out_everywhere(root: Person, _: Person) -> None:
    assert (await root.post("/auth/logout-all")).status_code == 204


async def is_demoted(root: Person, _: Person) -> None:
    answer = await root.patch(f"/users/{root.id}", json={"is_superuser": False})
    assert answer.status_code == 200, answer.text


async def is_deactivated(root: Person, _: Person) -> None:
    assert (await root.patch(f"/users/{root.id}", json={"is_active": False})).status_code == 200


async def is_deleted(root: Person, _: Person) -> None:
    assert (await root.delete(f"/users/{root.id}")).status_code == 204


async def changes_the_password(root: Person, _: Person) -> None:
    """In another session, which ends this one."""
    other = replace(root)
    await other.login()
    body = {"current_password": PASSWORD, "new_password": f"{PASSWORD}!"}
    assert (await other.post("/auth/password", json=body)).status_code == 204


async def makes_the_user_a_superuser(root: Person, ada: Person) -> None:
    assert (await root.patch(f"/users/{ada.id}", json={"is_superuser": True})).status_code == 200


async def deactivates_the_user(root: Person, ada: Person) -> None:
    assert (await root.patch(f"/users/{ada.id}", json={"is_active": False})).status_code == 200


async def ends_the_users_sessions(root: Person, ada: Person) -> None:
    assert (await root.delete(f"/users/{ada.id}/sessions")).status_code == 204


async def lets_the_user_log_out_everywhere(_: Person, ada: Person) -> None:
    assert (await ada.post("/auth/logout-all")).status_code == 204


@pytest.mark.parametrize(
    "end",
    [
        logs_out,
        logs_out_everywhere,
        is_demoted,
        is_deactivated,
        is_deleted,
        changes_the_password,
        makes_the_user_a_superuser,
        deactivates_the_user,
        ends_the_users_sessions,
        lets_the_user_log_out_everywhere,
    ],
)
async def test_what_ends_either_session_ends_it_in_every_process(
    settings, client, runtime, root, ada, end
):
    """At the next request of another process, which has both in its cache."""
    await person(client, runtime, "other", is_superuser=True)
    acting = await act_as(root, ada)
    async with running(settings) as other_app, browsing(other_app) as elsewhere:
        both = acting, replace(acting, client=elsewhere)
        before = [(await one.get("/users/me")).status_code for one in both]

        await end(root, ada)

        after = [await one.get("/users/me") for one in reversed(both)]

    assert before == [200, 200]
    assert [(answer.status_code, answer.json()["error"]) for answer in after] == [
        (401, "token_revoked")
    ] * 2


async def test_its_end_in_one_process_is_known_to_the_other_by_the_next_request(
    settings, root, ada
):
    acting = await act_as(root, ada)
    async with running(settings) as other_app, browsing(other_app) as elsewhere:
        there = replace(acting, client=elsewhere)
        before = (await there.get("/users/me")).status_code

        await acting.post("/auth/logout")

        after = (await there.get("/users/me")).status_code

    own = [(await one.get("/users/me")).status_code for one in (ada, root)]
    assert (before, after, own) == (200, 401, [200, 200])


@pytest.mark.parametrize("ender", ["user", "superuser"])
async def test_user_and_superuser_end_it_from_the_list_of_sessions(root, ada, runtime, ender):
    acting = await act_as(root, ada)
    session_id = acting.tokens["session_id"]

    answer = (
        await ada.delete(f"/auth/sessions/{session_id}")
        if ender == "user"
        else await root.delete(f"/users/{ada.id}/sessions/{session_id}")
    )

    (ended,) = await events(runtime, "impersonation.ended")
    assert (answer.status_code, (await acting.get("/users/me")).status_code) == (204, 401)
    assert ended["actor"] == f"user:{(ada if ender == 'user' else root).id}"


async def test_a_list_of_sessions_leaves_out_one_whose_superuser_has_logged_out(root, ada):
    await act_as(root, ada)

    await root.post("/auth/logout")

    assert (await ada.get("/auth/sessions")).json()["total"] == 1


async def test_its_session_without_the_actor_is_refused(root, ada, runtime):
    """A token that hides the superuser was never issued, and its session accepts none."""
    acting = await act_as(root, ada)
    read = runtime.tokens.read(acting.tokens["access_token"])
    await acting.get("/users/me")
    hidden = runtime.tokens.sign(read.user_id, read.session_id)

    answer = await replace(ada, tokens={"access_token": hidden}).get("/users/me")

    assert answer.status_code == 401


@pytest.mark.parametrize(
    "changes", [{"typ": "access"}, {"typ": "+act"}, {"act": None}, {"act": "1"}, {"scope": None}]
)
async def test_an_authentic_token_with_half_an_actor_is_refused(root, ada, settings, changes):
    acting = await act_as(root, ada)
    read = claims(acting.tokens["access_token"]) | changes
    kept = {name: value for name, value in read.items() if value is not None}
    forged = jwt.encode(kept, settings.auth.secret_key.get_secret_value(), algorithm="HS256")

    answer = await replace(ada, tokens={"access_token": forged}).get("/users/me")

    assert (answer.status_code, answer.json()["error"]) == (401, "token_invalid")


async def test_the_actor_without_the_session_is_refused(root, ada, bob, runtime):
    """A token that names another superuser's session than the one that began it."""
    acting = await act_as(root, ada)
    read = runtime.tokens.read(acting.tokens["access_token"])
    assert read.actor is not None
    other = replace(root)
    await other.login()
    wrong = runtime.tokens.read(other.tokens["access_token"]).session_id
    forged = runtime.tokens.sign_for(
        replace(read.actor, session_id=wrong), read.user_id, read.session_id
    )
    own = runtime.tokens.read(ada.tokens["access_token"]).session_id
    on_an_ordinary_one = runtime.tokens.sign_for(read.actor, read.user_id, own)

    statuses = [
        (await replace(ada, tokens={"access_token": token}).get("/users/me")).status_code
        for token in (forged, on_an_ordinary_one)
    ]

    assert statuses == [401, 401]


async def test_its_requests_count_for_the_superuser(settings, root, ada):
    """Otherwise a superuser could use up the limits of a user."""
    tight = settings.replaced(limiter={"read": "5/minute"})
    acting = await act_as(root, ada)
    async with running(tight) as app, browsing(app) as client:
        there = [replace(one, client=client) for one in (acting, ada, root)]
        for _ in range(5):
            await there[0].get("/users/me")
        statuses = [(await one.get("/users/me")).status_code for one in there]

    assert statuses == [429, 200, 429]


async def test_a_required_second_factor_is_the_superusers_own(settings, root, ada):
    acting = await act_as(root, ada)
    strict = settings.replaced(auth={"mfa_required_for": "everyone"})
    async with running(strict) as app, browsing(app) as client:
        answers = [
            (await replace(one, client=client).get("/dashboard/stats")).json()["error"]
            for one in (acting, ada)
        ]

    assert answers == ["forbidden", "mfa_enrolment_required"]

"""Invitations: what they grant, whom they tell what, and how often a link works."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.config import Settings
from app.runtime import Runtime
from app.schemas.invitation import PurgeInvitations
from app.worker.registry import purge_invitations
from tests.access import API
from tests.conftest import PASSWORD, Person, browsing, recorded, running
from tests.integration.test_password_recovery import is_refused, without_mail
from tests.integration.test_roles import give, new_role
from tests.mailbox import Mailbox, token_in
from tests.mfa import make_stale

__all__ = ["without_mail"]

GRACE = "grace@example.com"
INVITATIONS, ACCEPT = "/users/invitations", f"{API}/auth/invitation"
NEW = "another battery staple horse"


async def invite(inviter: Person, email: str = GRACE, **fields: Any) -> dict[str, Any]:
    answer = await inviter.post(INVITATIONS, json={"email": email, **fields})
    assert answer.status_code == 201, answer.text
    invitation: dict[str, Any] = answer.json()
    return invitation


async def accept(client: httpx.AsyncClient, token: str, **fields: str) -> httpx.Response:
    return await client.post(ACCEPT, json={"token": token, "password": NEW, **fields})


async def logs_in(client: httpx.AsyncClient, email: str = GRACE) -> bool:
    credentials = {"email": email, "password": NEW}
    return (await client.post(f"{API}/auth/login", json=credentials)).status_code == 200


async def age(runtime: Runtime, interval: str) -> None:
    """Set all times of invitations and tokens back."""
    async with runtime.engine.begin() as connection:
        for table, columns in (
            ("invitations", ("created_at", "sent_at", "expires_at")),
            ("one_time_tokens", ("created_at", "expires_at")),
        ):
            values = ", ".join(f"{name} = {name} - interval '{interval}'" for name in columns)
            await connection.execute(text(f"UPDATE {table} SET {values}"))


def details(answer: httpx.Response) -> list[tuple[object, ...]]:
    return [
        (*((fault["index"],) if "index" in fault else ()), fault["field"], fault["code"])
        for fault in answer.json()["details"]
    ]


async def test_an_invited_person_makes_an_account_by_the_link_in_a_mail(client, root, mailbox):
    invitation = await invite(root, full_name="Grace Hopper")
    (mail,) = await mailbox.receive()

    answer = await accept(client, token_in(mail), username="grace")

    assert mail.to == GRACE
    assert "/account/invitation?token=" in mail.text
    assert "root" in mail.text
    assert answer.status_code == 201
    user = answer.json()
    assert answer.headers["Location"] == f"{API}/users/{user['id']}"
    assert {
        "email": GRACE,
        "username": "grace",
        "full_name": "Grace Hopper",
    }.items() <= user.items()
    assert not user["is_superuser"]
    assert await logs_in(client)
    assert invitation["link"] is None
    (listed,) = (await root.get(INVITATIONS)).json()["items"]
    assert (listed["state"], listed["user_id"]) == ("accepted", user["id"])


async def test_an_invitation_can_be_accepted_while_registration_is_disabled(
    client, root, mailbox, settings: Settings
):
    await invite(root)
    token = await mailbox.token()
    closed = settings.replaced(auth={"registration_enabled": False})
    async with running(closed) as app, browsing(app) as here:
        signed_up = await here.post(f"{API}/users", json={"email": GRACE, "password": NEW})
        accepted = await accept(here, token)

    assert (signed_up.status_code, accepted.status_code) == (401, 201)


async def test_answer_work_and_list_are_the_same_whether_a_user_has_the_address(
    client, root, ada, mailbox, runtime
):
    await root.get("/users/me")  # cached from now on
    seen = []
    for email in (ada.email, "new@example.com"):
        with recorded(runtime) as statements:
            answer = await root.post(INVITATIONS, json={"email": email})
        body = {k: v for k, v in answer.json().items() if not k.endswith("_at")}
        names = {name for name in answer.headers if name != "x-request-id"}
        seen.append((answer.status_code, body | {"id": 0, "email": ""}, names, statements))
    listed = (await root.get(INVITATIONS)).json()["items"]

    mails = {mail.to: mail for mail in await mailbox.receive()}

    assert seen[0] == seen[1]
    assert [invitation["state"] for invitation in listed] == ["pending", "pending"]
    assert "token=" in mails["new@example.com"].text
    assert "token=" not in mails[ada.email].text
    assert "account already" in mails[ada.email].text


async def test_a_dry_run_does_not_tell_whether_a_user_has_the_address(root, ada, mailbox):
    sent = [{"email": ada.email}, {"email": GRACE}]
    report = await root.post(INVITATIONS, json=sent, params={"dry_run": True})

    assert report.status_code == 200
    assert report.json() == {"total": 2, "is_acceptable": True, "details": []}
    assert await mailbox.queued() == []
    assert (await root.get(INVITATIONS)).json()["items"] == []


async def test_whoever_signed_up_with_the_address_meanwhile_keeps_the_account(
    client, root, mailbox
):
    await invite(root)
    token = await mailbox.token()
    await client.post(f"{API}/users", json={"email": GRACE, "password": PASSWORD})

    answer = await accept(client, token)

    assert answer.status_code == 409
    assert details(answer) == [("email", "taken")]
    assert not await logs_in(client)


async def test_a_list_is_invited_whole_or_not_at_all(root, mailbox):
    await invite(root, "first@example.com")
    faulty = [
        {"email": "new@example.com"},
        {"email": "no address"},
        {"email": "x@example.com", "roles": ["none"]},
        {"email": "first@example.com"},
        {"email": "new@example.com"},
    ]

    refused = await root.post(INVITATIONS, json=faulty)
    conflict = await root.post(INVITATIONS, json=faulty[3:])
    sent = await root.post(INVITATIONS, json=[{"email": f"{n}@example.com"} for n in range(3)])

    assert refused.status_code == 422
    assert details(refused) == [
        (1, "email", "malformed"),
        (2, "roles", "not_found"),
        (3, "email", "taken"),
        (4, "email", "repeated"),
    ]
    assert (conflict.status_code, details(conflict)) == (409, [(0, "email", "taken")])
    assert [row["email"] for row in sent.json()] == [f"{n}@example.com" for n in range(3)]
    assert len(await mailbox.queued()) == 4


async def test_a_list_takes_as_many_statements_as_one_invitation(root, runtime):
    counts = []
    for size in (1, 50):
        rows = [{"email": f"{n}@{size}.example.com"} for n in range(size)]
        with recorded(runtime) as statements:
            assert (await root.post(INVITATIONS, json=rows)).status_code == 201
        counts.append(len(statements))

    assert counts[1] <= counts[0] + 50  # each mail is enqueued by one


async def test_a_repeated_request_gets_the_first_answer_and_sends_nothing(root, mailbox):
    headers = {"Idempotency-Key": "once"}
    first, second = [
        await root.post(INVITATIONS, json={"email": GRACE}, headers=headers) for _ in range(2)
    ]
    other = await root.post(INVITATIONS, json={"email": "x@example.com"}, headers=headers)

    assert (first.status_code, second.status_code, other.status_code) == (201, 201, 409)
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(await mailbox.queued()) == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"email": "no address"}, ("email", "malformed")),
        ({"email": GRACE, "x": 1}, ("x", "unknown")),
        ({"email": GRACE, "is_superuser": "yes"}, ("is_superuser", "wrong_type")),
        ({"email": GRACE, "roles": ["x" * 40]}, ("roles.0", "malformed")),
        ({"email": "x@corp.local"}, ("email", "not_allowed")),
        ([], ("body", "too_short")),
        ([{"email": GRACE}] * 501, ("body", "too_long")),
    ],
)
async def test_bad_input_is_refused_by_field(root, body, expected):
    answer = await root.post(INVITATIONS, json=body)

    assert answer.status_code == 422
    assert details(answer) == [expected]


async def test_the_new_account_has_the_roles_of_the_invitation(client, root, mailbox):
    role = await new_role(root, "support", "users:read")
    invitation = await invite(root, roles=["support"])
    user = (await accept(client, await mailbox.token())).json()

    roles = (await root.get(f"/users/{user['id']}/roles")).json()

    assert invitation["roles"] == ["support"]
    assert [granted["id"] for granted in roles] == [role["id"]]


async def test_nobody_grants_by_an_invitation_what_they_may_not_do(root, ada, mailbox):
    await give(root, ada, "users:invite")
    await new_role(root, "support", "users:read")

    role = await ada.post(INVITATIONS, json={"email": GRACE, "roles": ["support"]})
    superuser = await ada.post(INVITATIONS, json={"email": GRACE, "is_superuser": True})
    own = await invite(ada, roles=[f"role-of-{ada.id}"])

    assert (role.status_code, details(role)) == (422, [("roles", "not_allowed")])
    assert (superuser.status_code, details(superuser)) == (422, [("is_superuser", "not_allowed")])
    assert own["roles"] == [f"role-of-{ada.id}"]


async def test_an_invitation_grants_nothing_that_its_inviter_has_lost_meanwhile(
    client, root, ada, mailbox
):
    await give(root, ada, "users:invite", "users:read")
    await invite(ada, roles=[f"role-of-{ada.id}"])
    token = await mailbox.token()
    await root.request("PUT", f"/users/{ada.id}/roles", json={"roles": []})

    assert is_refused(await accept(client, token))
    assert not await logs_in(client)


async def test_who_may_not_invite_any_more_lets_nobody_in(client, root, ada, mailbox):
    await give(root, ada, "users:invite")
    await invite(ada)
    token = await mailbox.token()
    await root.request("PUT", f"/users/{ada.id}/roles", json={"roles": []})

    assert is_refused(await accept(client, token))
    assert not await logs_in(client)


async def test_the_link_of_a_deactivated_inviter_works_after_another_has_resent_it(
    client, runtime, root, ada, mailbox
):
    await give(root, ada, "users:invite")
    invitation = await invite(ada)
    token = await mailbox.token()
    await root.patch(f"/users/{ada.id}", json={"is_active": False})
    await age(runtime, "61 seconds")

    refused = await accept(client, token)
    resent = await root.post(f"{INVITATIONS}/{invitation['id']}/resend")
    accepted = await accept(client, await mailbox.token())

    assert is_refused(refused)
    assert resent.json()["invited_by"] == root.id
    assert accepted.status_code == 201


async def test_a_new_link_makes_the_older_one_void(client, runtime, root, mailbox):
    invitation = await invite(root)
    first = await mailbox.token()
    await age(runtime, "61 seconds")

    resent = await root.post(f"{INVITATIONS}/{invitation['id']}/resend")
    second = await mailbox.token()

    assert resent.status_code == 200
    assert resent.json()["expires_at"] > invitation["expires_at"]
    assert is_refused(await accept(client, first))
    assert (await accept(client, second)).status_code == 201


async def test_an_address_gets_one_invitation_a_minute(runtime, root):
    invitation = await invite(root)
    place = f"{INVITATIONS}/{invitation['id']}"

    resent = await root.post(f"{place}/resend")
    await root.delete(place)
    again = await root.post(INVITATIONS, json={"email": GRACE})
    await age(runtime, "61 seconds")

    assert (resent.status_code, again.status_code) == (429, 409)
    assert 1 <= int(resent.headers["Retry-After"]) <= 60
    assert (await root.post(INVITATIONS, json={"email": GRACE})).status_code == 201


async def test_a_revoked_invitation_is_void(client, root, runtime, mailbox):
    invitation = await invite(root)
    token, place = await mailbox.token(), f"{INVITATIONS}/{invitation['id']}"

    statuses = [(await root.delete(place)).status_code for _ in range(2)]
    await age(runtime, "61 seconds")

    assert statuses == [204, 204]
    assert is_refused(await accept(client, token))
    assert (await root.post(f"{place}/resend")).status_code == 409
    assert (await root.get(INVITATIONS)).json()["items"][0]["state"] == "revoked"


async def test_a_mail_is_not_sent_for_an_invitation_that_was_revoked_meanwhile(root, mailbox):
    invitation = await invite(root)
    await root.delete(f"{INVITATIONS}/{invitation['id']}")

    assert await mailbox.receive() == []


async def test_an_accepted_invitation_can_be_neither_revoked_nor_resent(client, root, mailbox):
    invitation = await invite(root)
    await accept(client, await mailbox.token())
    place = f"{INVITATIONS}/{invitation['id']}"

    assert (await root.delete(place)).status_code == 409
    assert (await root.post(f"{place}/resend")).status_code == 409
    assert (await root.delete(f"{INVITATIONS}/999")).status_code == 404
    assert (await root.post(f"{INVITATIONS}/999/resend")).status_code == 404


async def test_a_link_expires_after_seven_days_and_the_address_can_be_invited_again(
    client, runtime, root, mailbox
):
    await invite(root)
    token = await mailbox.token()
    await age(runtime, "7 days 1 minute")

    expired = (await root.get(INVITATIONS, params={"state": "expired"})).json()["items"]
    refused = await accept(client, token)
    await invite(root)

    assert [row["state"] for row in expired] == ["expired"]
    assert is_refused(refused)
    assert [row["state"] for row in (await root.get(INVITATIONS)).json()["items"]] == ["pending"]


async def test_of_two_uses_at_once_in_two_processes_one_succeeds(
    client, root, mailbox, settings: Settings
):
    """R19"""
    await invite(root)
    token = await mailbox.token()
    async with running(settings) as other, browsing(other) as elsewhere:
        answers = await asyncio.gather(
            *(
                accept(where, token, username=f"grace{number}")
                for number, where in enumerate((client, elsewhere))
            )
        )

    assert sorted(answer.status_code for answer in answers) == [201, 422]


async def test_of_two_inviters_at_once_one_succeeds(client, root, mailbox, settings: Settings):
    async with running(settings) as other, browsing(other) as elsewhere:
        there = Person(elsewhere, root.id, root.email, tokens=root.tokens)
        answers = await asyncio.gather(
            *(inviter.post(INVITATIONS, json={"email": GRACE}) for inviter in (root, there))
        )

    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert len(await mailbox.queued()) == 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"password": "short"}, ("password", "weak_password")),
        ({"password": f"{GRACE} grace"}, ("password", "weak_password")),
        ({"username": "no name"}, ("username", "malformed")),
        ({"email": GRACE}, ("email", "unknown")),
    ],
)
async def test_what_is_refused_leaves_the_link_valid(client, root, mailbox, fields, expected):
    await invite(root)
    token = await mailbox.token()

    answer = await accept(client, token, **fields)

    assert answer.status_code == 422
    assert details(answer) == [expected]
    assert (await accept(client, token)).status_code == 201


async def test_a_username_that_is_taken_leaves_the_link_valid(client, root, ada, mailbox):
    await invite(root)
    token = await mailbox.token()

    answer = await accept(client, token, username="ada")

    assert (answer.status_code, details(answer)) == (409, [("username", "taken")])
    assert (await accept(client, token)).status_code == 201


async def test_where_no_mail_is_sent_the_answer_has_the_link_once(
    client, root, runtime, without_mail
):
    async with browsing(without_mail) as elsewhere:
        there = Person(elsewhere, root.id, root.email, tokens=root.tokens)
        headers = {"Idempotency-Key": "once"}
        first, second = [
            await there.post(INVITATIONS, json={"email": GRACE}, headers=headers) for _ in range(2)
        ]

    link = first.json()["link"]
    assert second.json()["link"] is None
    assert await Mailbox(runtime).queued() == []
    assert (await accept(client, link.partition("token=")[2])).status_code == 201


async def test_the_token_of_an_invitation_is_in_no_log_job_or_table(
    client, root, runtime, mailbox, logged
):
    await invite(root)
    stored = "".join(job.model_dump_json() for job in await mailbox.queued())
    async with runtime.session_maker() as db:
        (token_id,) = (await db.execute(text("SELECT token_id FROM invitations"))).scalars()
        found = await runtime.one_time_tokens(db).for_mail(token_id, "invitation")
        await db.commit()
    assert found is not None
    await accept(client, found[0])

    async with runtime.engine.connect() as connection:
        for table in ("invitations", "one_time_tokens", "audit_events", "kept_answers"):
            rows = await connection.execute(text(f"SELECT {table}::text FROM {table}"))
            stored += "".join(rows.scalars())
    assert found[0] not in stored
    assert found[0] not in str(logged())


async def test_invitations_are_filtered_by_state_and_paged(client, root, mailbox):
    for number in range(3):
        await invite(root, f"{number}@example.com")
    tokens = [token_in(mail) for mail in await mailbox.receive()]
    await accept(client, tokens[0])

    page = (await root.get(INVITATIONS, params={"state": "pending", "size": 1})).json()
    bad = await root.get(INVITATIONS, params={"state": "lost"})

    assert (page["total"], page["pages"], len(page["items"])) == (2, 2, 1)
    assert bad.status_code == 422


async def test_each_step_is_in_the_audit_trail(client, root, runtime, mailbox):
    invitation = await invite(root)
    await age(runtime, "61 seconds")
    await root.post(f"{INVITATIONS}/{invitation['id']}/resend")
    await accept(client, [token_in(mail) for mail in await mailbox.receive()][-1])
    other = await invite(root, "other@example.com")
    await root.delete(f"{INVITATIONS}/{other['id']}")

    async with runtime.engine.connect() as connection:
        query = (
            "SELECT action, target FROM audit_events WHERE action LIKE 'invitation.%' ORDER BY id"
        )
        events = [tuple(row) for row in await connection.execute(text(query))]
    assert events == [
        ("invitation.sent", "invitation:1"),
        ("invitation.resent", "invitation:1"),
        ("invitation.accepted", "invitation:1"),
        ("invitation.sent", "invitation:2"),
        ("invitation.revoked", "invitation:2"),
    ]


async def test_invitations_are_deleted_ninety_days_after_their_links_expired(root, runtime):
    await invite(root)
    await age(runtime, "96 days")
    await purge_invitations(runtime, PurgeInvitations())
    kept = (await root.get(INVITATIONS)).json()["total"]
    await age(runtime, "2 days")
    await purge_invitations(runtime, PurgeInvitations())

    assert kept == 1
    assert (await root.get(INVITATIONS)).json()["total"] == 0


async def test_invitations_go_with_the_user_who_sent_them(root, ada, mailbox, client):
    await give(root, ada, "users:invite")
    await invite(ada)
    token = await mailbox.token()
    await root.delete(f"/users/{ada.id}")

    assert is_refused(await accept(client, token))
    assert (await root.get(INVITATIONS)).json()["items"] == []


async def test_times_are_those_of_now(root):
    invitation = await invite(root)

    lifetime = datetime.fromisoformat(invitation["expires_at"]) - datetime.now(UTC)
    assert 6.99 < lifetime.total_seconds() / 86_400 <= 7


@pytest.mark.parametrize(
    ("fields", "status"), [({}, 201), ({"is_superuser": True}, 403), ({"roles": ["support"]}, 403)]
)
async def test_an_invitation_that_grants_privileges_needs_a_confirmation(
    root, runtime, fields, status
):
    await make_stale(runtime)

    answer = await root.post(INVITATIONS, json={"email": GRACE, **fields})

    assert answer.status_code == status
    assert status == 201 or answer.json()["error"] == "confirmation_required"


@pytest.mark.parametrize(
    ("fields", "status"), [({}, 200), ({"is_superuser": True}, 403), ({"roles": ["support"]}, 403)]
)
async def test_a_resend_of_privileges_needs_a_confirmation_too(root, runtime, fields, status):
    """Its new link is another way to the same privileges."""
    await new_role(root, "support", "users:read")
    invitation = await invite(root, **fields)
    await age(runtime, "61 seconds")
    await make_stale(runtime)

    answer = await root.post(f"{INVITATIONS}/{invitation['id']}/resend")

    assert answer.status_code == status
    assert status == 200 or answer.json()["error"] == "confirmation_required"

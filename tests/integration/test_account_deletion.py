"""Deletion of one's own account: at once inactive, undone by a link, deleted by a job."""

import asyncio

import pytest
from sqlalchemy import text

from app.core.config import Settings
from app.runtime import Runtime
from app.schemas.account import DeleteAccounts
from app.worker.registry import delete_accounts
from tests.access import API
from tests.conftest import PASSWORD, Person, browsing, running
from tests.integration.test_password_recovery import is_refused, logs_in

DELETION, UNDO = "/users/me/deletion", f"{API}/auth/deletion/undo"


async def delete(person: Person) -> None:
    answer = await person.post(DELETION, json={"current_password": PASSWORD})
    assert answer.status_code == 200, answer.text


async def age(runtime: Runtime, interval: str) -> None:
    """Let the deletions have been requested earlier."""
    async with runtime.engine.begin() as connection:
        values = f"delete_after = delete_after - interval '{interval}'"
        await connection.execute(text(f"UPDATE account_deletions SET {values}"))


async def is_there(root: Person, person: Person) -> bool:
    return (await root.get(f"/users/{person.id}")).status_code == 200


async def test_an_account_is_inactive_at_once_and_deleted_after_fourteen_days(
    client, ada, root, runtime
):
    await delete(ada)
    used = await ada.get("/users/me")
    logged_in = await logs_in(client, ada.email, PASSWORD)
    await age(runtime, "13 days 23 hours")
    await delete_accounts(runtime, DeleteAccounts())
    waiting = (await root.get(f"/users/{ada.id}")).json()
    await age(runtime, "1 hour")

    await delete_accounts(runtime, DeleteAccounts())

    assert used.status_code == 401
    assert not logged_in
    assert waiting["is_active"] is False
    assert not await is_there(root, ada)


async def test_the_link_in_the_mail_undoes_it(client, ada, root, runtime, mailbox):
    await delete(ada)
    (mail,) = await mailbox.receive()
    token = mail.text.partition("token=")[2].split()[0]

    undone = await client.post(UNDO, json={"token": token})
    await age(runtime, "15 days")
    await delete_accounts(runtime, DeleteAccounts())

    assert "/account/deletion-undo?token=" in mail.text
    assert mail.to == ada.email
    assert undone.status_code == 204
    assert (await ada.get("/users/me")).status_code == 401  # the sessions have ended all the same
    assert await logs_in(client, ada.email, PASSWORD)
    assert is_refused(await client.post(UNDO, json={"token": token}))


async def test_of_two_undos_at_once_in_two_processes_one_succeeds(
    client, ada, mailbox, settings: Settings
):
    """R19"""
    await delete(ada)
    body = {"token": await mailbox.token()}
    async with running(settings) as other, browsing(other) as elsewhere:
        answers = await asyncio.gather(
            *(where.post(UNDO, json=body) for where in (client, elsewhere))
        )

    assert sorted(answer.status_code for answer in answers) == [204, 422]


async def test_an_undo_and_the_job_at_once_leave_the_account_whole_or_gone(
    client, ada, root, runtime, mailbox
):
    await delete(ada)
    token = await mailbox.token()
    await age(runtime, "14 days")

    undone, _ = await asyncio.gather(
        client.post(UNDO, json={"token": token}), delete_accounts(runtime, DeleteAccounts())
    )

    assert await is_there(root, ada) == (undone.status_code == 204)
    assert await logs_in(client, ada.email, PASSWORD) == (undone.status_code == 204)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"current_password": "a guess"}, "wrong_password"),
        ({}, "missing"),
        ({"current_password": PASSWORD, "x": 1}, "unknown"),
        ({"current_password": "x" * 1000}, "too_long"),
    ],
)
async def test_without_the_password_nothing_is_deleted(ada, body, code):
    refused = await ada.post(DELETION, json=body)

    assert refused.status_code == 422
    assert [detail["code"] for detail in refused.json()["details"]] == [code]
    assert (await ada.get("/users/me")).status_code == 200


async def test_guesses_of_the_password_are_limited(ada):
    answers = [await ada.post(DELETION, json={"current_password": f"guess {n}"}) for n in range(6)]

    assert [answer.status_code for answer in answers] == [422] * 5 + [429]


async def test_the_last_superuser_cannot_delete_the_account(root, runtime):
    refused = await root.post(DELETION, json={"current_password": PASSWORD})

    assert refused.status_code == 409
    assert (await root.get("/users/me")).status_code == 200


async def test_of_the_last_two_superusers_at_once_one_stays(root, ada, runtime):
    await root.patch(f"/users/{ada.id}", json={"is_superuser": True})
    await ada.login()

    answers = await asyncio.gather(
        *(each.post(DELETION, json={"current_password": PASSWORD}) for each in (root, ada))
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_an_administrator_who_activates_the_account_ends_its_deletion(
    client, ada, root, runtime, mailbox
):
    await delete(ada)
    token = await mailbox.token()
    await root.patch(f"/users/{ada.id}", json={"is_active": True})
    await age(runtime, "15 days")

    await delete_accounts(runtime, DeleteAccounts())

    assert await is_there(root, ada)
    assert is_refused(await client.post(UNDO, json={"token": token}))


async def test_a_user_whom_an_administrator_deactivates_cannot_undo(
    client, ada, root, runtime, mailbox
):
    await delete(ada)
    token = await mailbox.token()
    await root.patch(f"/users/{ada.id}", json={"is_active": False})

    refused = await client.post(UNDO, json={"token": token})
    await age(runtime, "15 days")
    await delete_accounts(runtime, DeleteAccounts())

    assert is_refused(refused)
    assert not await is_there(root, ada)


async def test_a_change_of_a_name_leaves_the_undo_valid(client, ada, root, mailbox):
    await delete(ada)
    token = await mailbox.token()
    await root.patch(f"/users/{ada.id}", json={"full_name": "Ada King"})

    assert (await client.post(UNDO, json={"token": token})).status_code == 204


async def test_many_accounts_are_deleted_by_one_job(root, runtime):
    async with runtime.engine.begin() as connection:
        await connection.execute(
            text(
                "WITH gone AS (INSERT INTO users (email, username, hashed_password, is_active) "
                "SELECT n || '@example.com', 'user-' || n, 'x', false "
                "FROM generate_series(1, 250) n RETURNING id) "
                "INSERT INTO account_deletions (user_id, delete_after) "
                "SELECT id, now() - interval '1 hour' FROM gone"
            )
        )

    await delete_accounts(runtime, DeleteAccounts())

    assert (await root.get("/users")).json()["total"] == 1


async def test_each_step_of_a_deletion_is_in_the_audit_trail(client, ada, runtime, mailbox):
    await delete(ada)
    await client.post(UNDO, json={"token": await mailbox.token()})
    await ada.login()
    await delete(ada)
    await age(runtime, "14 days")
    await delete_accounts(runtime, DeleteAccounts())

    async with runtime.engine.connect() as connection:
        query = (
            "SELECT action FROM audit_events WHERE action ~ '^deletion|user.deleted' ORDER BY id"
        )
        actions = (await connection.execute(text(query))).scalars().all()
    assert actions == [
        "deletion.requested",
        "deletion.undone",
        "deletion.requested",
        "user.deleted",
    ]

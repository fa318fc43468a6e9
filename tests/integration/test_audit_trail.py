"""The audit trail: events in the transaction of what they tell, append-only, without secrets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.exceptions import ConflictException
from app.core.jobs import JobPayload
from app.core.origin import Origin, acting_as
from app.core.security.api_keys import new_api_key
from app.repositories.background.jobs import JobQueue
from app.runtime import Runtime
from app.schemas.audit import Action, Target
from app.schemas.background.jobs import PurgeSessions
from app.services.base import BaseService
from app.worker.job import Job
from app.worker.worker import running_jobs
from tests.audited import SEEN, secrets_in_the_audit_trail
from tests.conftest import PASSWORD, Person, empty_audit_trail, person
from tests.polling import within_async

EVENTS = "SELECT * FROM audit_events ORDER BY created_at, id"


class Promote(JobPayload):
    kind = "promote"


async def promote(runtime: Runtime, _: Promote) -> None:
    async with runtime.open_user_service() as users:
        await users.promote("ada@example.com")


async def events(runtime: Runtime, action: str | None = None) -> list[dict[str, Any]]:
    async with runtime.engine.connect() as connection:
        found = [dict(row) for row in (await connection.execute(text(EVENTS))).mappings()]
    return [event for event in found if action in {None, event["action"]}]


@asynccontextmanager
async def refused(error: type[Exception]) -> AsyncIterator[None]:
    with pytest.raises(error):
        yield


async def only(runtime: Runtime, action: str) -> dict[str, Any]:
    (event,) = await events(runtime, action)
    return event


async def test_an_update_is_recorded_with_the_fields_that_differ(
    root: Person, ada: Person, runtime
):
    response = await root.patch(
        f"/users/{ada.id}",
        json={"full_name": "Ada King", "username": "ada"},
        headers={"X-Request-ID": "of-this-test"},
    )

    assert response.status_code == 200
    event = await only(runtime, "user.updated")
    assert event["actor"] == f"user:{root.id}"
    assert event["actor_name"] == "root"
    assert event["target"] == f"user:{ada.id}"
    assert event["user_id"] == ada.id
    assert event["address"] == "192.0.2.7"
    assert event["request_id"] == "of-this-test"
    assert event["outcome"] == "success"
    assert event["before"] == {"full_name": None}
    assert event["after"] == {"full_name": "Ada King"}


async def test_a_change_of_nothing_is_no_event(ada: Person, runtime):
    await ada.patch("/users/me", json={"username": "ada"})

    assert await events(runtime, "user.updated") == []


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"is_active": False}, "user.deactivated"),
        ({"is_superuser": True, "full_name": "Ada"}, "user.promoted"),
    ],
)
async def test_a_grave_change_has_an_action_of_its_own(root, ada: Person, runtime, changes, action):
    await root.patch(f"/users/{ada.id}", json=changes)

    assert (await only(runtime, action))["after"] == changes


async def test_a_deletion_is_recorded_with_what_was_there(root, ada: Person, runtime):
    await root.delete(f"/users/{ada.id}")

    event = await only(runtime, "user.deleted")
    assert event["after"] is None
    assert event["before"]["email"] == ada.email
    assert event["before"]["hashed_password"] == "[redacted]"


async def test_a_sign_up_is_recorded_as_of_nobody(client, runtime):
    new = {"email": "new@example.com", "password": PASSWORD}
    response = await client.post("/api/v1/users", json=new)

    event = await only(runtime, "user.created")
    assert event["actor"] == "anonymous"
    assert event["user_id"] == response.json()["id"]
    assert event["after"]["email"] == "new@example.com"


async def test_a_list_of_users_is_recorded_by_one_statement(root, runtime, statements):
    rows = [{"email": f"new{i}@example.com", "password": PASSWORD} for i in range(50)]
    response = await root.post("/users/bulk", json=rows)

    assert response.status_code == 201
    created = [
        event for event in await events(runtime, "user.created") if event["user_id"] > root.id
    ]
    assert {event["user_id"] for event in created} == {user["id"] for user in response.json()}
    assert len([sent for sent in statements if "INTO audit_events" in sent]) == 1


async def test_a_refused_change_leaves_no_event(root, ada: Person, bob: Person, runtime):
    response = await root.patch(f"/users/{ada.id}", json={"email": bob.email, "is_active": False})

    assert response.status_code == 409
    assert await events(runtime, "user.deactivated") == []
    assert await events(runtime, "user.updated") == []


async def test_a_transaction_that_is_rolled_back_leaves_no_event(client, runtime):
    async with runtime.session_maker() as db:
        service = BaseService(db)
        async with refused(ConflictException), service.transaction():
            service.audit.record(Action.USER_DELETED, Target("user", 1))
            raise ConflictException
        async with service.transaction():
            service.audit.record(Action.USER_UPDATED, Target("user", 2))

    assert [event["target"] for event in await events(runtime)] == ["user:2"]


async def test_an_event_outside_a_transaction_is_a_fault_of_the_code(client, runtime):
    async with runtime.session_maker() as db:
        with pytest.raises(RuntimeError, match="is recorded within"):
            BaseService(db).audit.record(Action.USER_UPDATED, Target("user", 1))


async def test_secrets_are_replaced_wherever_they_are(client, runtime):
    facts = {
        "hashed_password": "$argon2id$v=19",
        "refresh_hash": b"\x00\x01",
        "given": SecretStr("hidden"),
        "raw": b"hidden",
        "deep": {"api_token": "hidden", "list": [SecretStr("hidden"), "shown"]},
        "text": "a\0b\ud800" + "x " * 1000,
        "nothing": None,
    }
    async with runtime.session_maker() as db:
        service = BaseService(db)
        async with service.transaction():
            service.audit.record(Action.USER_CREATED, Target("user", 1), after=facts)

    after = (await only(runtime, "user.created"))["after"]
    assert "hidden" not in str(after)
    assert after["hashed_password"] == after["refresh_hash"] == after["raw"] == "[redacted]"
    assert after["deep"] == {"api_token": "[redacted]", "list": ["[redacted]", "shown"]}
    assert after["text"].startswith("a\ufffdb?x")
    assert len(after["text"]) == 1000
    assert "nothing" not in after


async def test_a_changed_secret_is_seen_as_changed_and_not_shown(client, runtime):
    async with runtime.session_maker() as db:
        service = BaseService(db)
        async with service.transaction():
            service.audit.record(
                Action.USER_UPDATED,
                Target("user", 1),
                before={"hashed_password": "old", "email": "a@example.com"},
                after={"hashed_password": "new", "email": "a@example.com"},
            )

    event = await only(runtime, "user.updated")
    assert event["before"] == event["after"] == {"hashed_password": "[redacted]"}


async def test_an_event_names_who_acts_in_a_users_name(client, runtime):
    origin = Origin("user", 7, "ada", "192.0.2.9", impersonator_id=1)
    with acting_as(origin):
        async with runtime.session_maker() as db:
            service = BaseService(db)
            async with service.transaction():
                service.audit.record(Action.USER_UPDATED, Target("role", 3), user_id=9)

    event = await only(runtime, "user.updated")
    assert (event["actor"], event["impersonator_id"]) == ("user:7", 1)
    assert (event["target"], event["user_id"]) == ("role:3", 9)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'user:1'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "DELETE FROM audit_events_default",
        "TRUNCATE audit_events_default",
        "UPDATE {month} SET actor = 'user:1'",
        "TRUNCATE {month}",
    ],
)
async def test_not_even_the_owner_of_the_table_changes_or_deletes_an_event(
    root, runtime, statement
):
    month = "to_char(now() AT TIME ZONE 'UTC', '\"audit_events_\"YYYY_MM')"
    async with runtime.engine.connect() as connection:
        name = await connection.scalar(text(f"SELECT {month}"))
        with pytest.raises(Exception, match="never changed or deleted"):
            await connection.execute(text(statement.format(month=name)))

    assert await events(runtime, "user.created") != []


async def test_a_login_and_a_logout_are_recorded(ada: Person, runtime):
    await ada.post("/auth/logout")

    begun, ended = await only(runtime, "session.started"), await only(runtime, "session.ended")
    assert begun["actor"] == ended["actor"] == f"user:{ada.id}"
    assert begun["target"] == ended["target"]
    assert begun["user_id"] == ended["user_id"] == ada.id
    assert begun["address"] == "192.0.2.7"
    assert begun["after"]["user_agent"].startswith("python-httpx")


async def test_sessions_that_an_admin_ends_are_recorded_as_of_the_admin(root, ada: Person, runtime):
    await root.delete(f"/users/{ada.id}/sessions")

    event = await only(runtime, "sessions.ended")
    assert (event["actor"], event["target"]) == (f"user:{root.id}", f"user:{ada.id}")
    assert event["after"] == {"sessions_ended": 1}


async def test_the_reuse_of_a_refresh_token_is_recorded_though_it_is_refused(
    client, ada: Person, runtime
):
    path, first = "/api/v1/auth/refresh", ada.tokens["refresh_token"]
    second = (await client.post(path, json={"refresh_token": first})).json()["refresh_token"]
    await client.post(path, json={"refresh_token": second})
    response = await client.post(path, json={"refresh_token": first})

    assert response.status_code == 401
    event = await only(runtime, "session.reused")
    assert (event["actor"], event["outcome"]) == ("anonymous", "refused")
    assert event["user_id"] == ada.id


async def test_a_change_of_password_is_recorded_without_any_password(ada: Person, runtime):
    change = {"current_password": PASSWORD, "new_password": "another horse battery staple"}
    response = await ada.post("/auth/password", json=change)

    assert response.status_code == 204
    event = await only(runtime, "password.changed")
    assert event["after"] == {"sessions_ended": 0}
    assert "horse" not in str(await events(runtime))


@pytest.mark.parametrize("file_format", ["csv", "ndjson"])
async def test_an_export_is_recorded_with_its_filters(root, runtime, file_format):
    response = await root.get(f"/users/export?format={file_format}&is_active=true&search=xyz")

    assert response.status_code == 200
    event = await only(runtime, "data.exported")
    assert event["target"] == "list:users"
    assert event["after"] == {"format": file_format, "is_active": True, "search": "xyz"}


async def test_a_refused_export_is_no_export(ada: Person, runtime):
    await ada.get("/users/export")

    assert await events(runtime, "data.exported") == []


async def test_what_an_admin_does_with_jobs_is_recorded(client, runtime):
    async with runtime.session_maker() as db:
        service = runtime.job_service(db)
        async with service.transaction():
            job_id = await JobQueue(db).enqueue(PurgeSessions(), delay=timedelta(hours=1))
        assert job_id is not None
        await service.cancel([job_id])

    event = await only(runtime, "job.cancelled")
    assert (event["target"], event["after"]) == (f"job:{job_id}", {"kind": "purge-sessions"})


async def test_an_event_goes_along_with_a_job_by_one_statement(ada: Person, runtime, statements):
    async with runtime.session_maker() as db:
        service = BaseService(db)
        async with service.transaction():
            service.audit.record(Action.USER_UPDATED, Target("user", ada.id))
            job_id = await JobQueue(db).enqueue(PurgeSessions())

    assert job_id is not None
    assert len([sent for sent in statements if "INSERT" in sent]) == 1
    assert (await only(runtime, "user.updated"))["user_id"] == ada.id


async def test_a_job_is_the_actor_of_what_it_changes(client, runtime):
    await person(client, runtime, "ada")
    async with runtime.session_maker() as db:
        service = BaseService(db)
        async with service.transaction():
            await JobQueue(db).enqueue(Promote())
    async with running_jobs(runtime, [Job(Promote, promote)]):
        await within_async(10, lambda: events(runtime, "user.promoted"))

    event = await only(runtime, "user.promoted")
    assert event["actor"] == "job:promote"
    assert event["after"]["is_superuser"] is True


@pytest.mark.parametrize(
    "secret",
    [
        PASSWORD,
        "$argon2id$v=19$m=64",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0",
        "AAAAAEILVXp4fyF3MFQE0prYG78meYcnfxg0b_rDq-5XP2igXwcZ4ix2DMLGww-_O03HXQ",
        "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        "ABCD-EFGH-IJKL-MNOP",
        pytest.param(new_api_key().text, id="a new API key"),
    ],
)
async def test_the_search_for_secrets_at_the_end_of_each_test_finds_them(runtime, client, secret):
    async with runtime.session_maker() as db:
        service = BaseService(db)
        async with service.transaction():
            service.audit.record(Action.USER_UPDATED, Target("user", 1), after={"text": secret})

    assert len(await secrets_in_the_audit_trail(runtime.engine)) == 1
    async with runtime.engine.begin() as connection:
        await empty_audit_trail(connection)


async def test_the_search_knows_the_secrets_that_the_tests_sent_and_got(ada: Person, runtime):
    """Whatever they look like: what was accepted in a field for secrets is one."""
    odd = "quite another sentence, and long"
    changed = {"current_password": PASSWORD, "new_password": odd}
    await ada.post("/auth/password", json=changed)
    assert {odd, PASSWORD, ada.tokens["refresh_token"], ada.tokens["access_token"]} <= SEEN

    async with runtime.session_maker() as db:
        service = BaseService(db)
        async with service.transaction():
            service.audit.record(Action.USER_UPDATED, Target("user", 1), after={"text": odd})

    assert len(await secrets_in_the_audit_trail(runtime.engine)) == 1
    async with runtime.engine.begin() as connection:
        await empty_audit_trail(connection)

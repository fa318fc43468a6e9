"""The export of one's own data: complete, without secrets, and bounded."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE

import pytest
from sqlalchemy import text

from app.core.security.secret_names import is_secret_name
from app.repositories import account_data
from tests.conftest import PASSWORD, Person
from tests.integration.test_roles import give

EXPORT = "/users/me/export"
_REFERENCES = """
    SELECT DISTINCT conrelid::regclass::text FROM pg_constraint
    WHERE contype = 'f' AND confrelid = 'users'::regclass AND conparentid = 0
    UNION
    SELECT table_name::text FROM information_schema.columns
    JOIN pg_class ON oid = to_regclass(table_schema || '.' || table_name)
    WHERE table_schema = 'public' AND column_name = 'user_id' AND NOT relispartition
"""


async def export(person: Person) -> dict[str, list[dict[str, object]]]:
    answer = await person.get(EXPORT)
    assert answer.status_code == 200, answer.text
    data: dict[str, list[dict[str, object]]] = json.loads(answer.content)
    return data


async def test_every_table_that_refers_to_users_is_exported(ada, runtime):
    """By the foreign keys of the database, and by columns with the name `user_id`."""
    async with runtime.engine.connect() as connection:
        referring = set((await connection.execute(text(_REFERENCES))).scalars())
    # By a process of its own: this one has imported more than the service does.
    code = (
        "import main; from app.repositories.account_data import sections;"
        "print(*(section.table.name for section in sections()))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=PIPE)
    output, _ = await process.communicate()
    served = output.decode().split()

    data = await export(ada)

    assert referring <= set(served), (
        f"{sorted(referring - set(served))} refer to users: add a foreign key to users, or the "
        "table to WITHOUT_KEY of app/repositories/account_data.py"
    )
    assert set(data) - {"exported_at"} == set(served)


async def test_no_secret_is_exported(ada, runtime):
    """Neither the columns with such a name, nor what binary columns hold."""
    async with runtime.engine.connect() as connection:
        hashed = await connection.scalar(text("SELECT hashed_password FROM users"))

    shown = {
        f"{section.table.name}.{column.name}"
        for section in account_data.sections()
        for column in section.columns
    }
    answer = await ada.get(EXPORT)

    assert not [name for name in shown if is_secret_name(name.partition(".")[2])]
    assert "users.email" in shown
    assert {"users.hashed_password", "sessions.refresh_hash", "one_time_tokens.hash"}.isdisjoint(
        shown
    )
    assert hashed not in answer.text
    assert ada.tokens["refresh_token"] not in answer.text


async def test_the_export_has_what_is_stored_and_nothing_of_others(ada, bob, root, mailbox):
    await give(root, ada, "users:invite")
    await ada.post("/users/invitations", json={"email": "grace@example.com"})
    await mailbox.receive()

    data = await export(ada)

    assert [row["email"] for row in data["users"]] == [ada.email]
    assert [row["user_id"] for row in data["sessions"]] == [ada.id]
    assert [row["email"] for row in data["invitations"]] == ["grace@example.com"]
    assert [row["purpose"] for row in data["one_time_tokens"]] == ["invitation"]
    assert len(data["user_roles"]) == 1
    assert {row["user_id"] for row in data["audit_events"]} == {ada.id}
    assert bob.email not in json.dumps(data)


async def test_an_export_is_recorded_in_the_audit_trail(ada):
    await export(ada)

    (event,) = [
        row for row in (await export(ada))["audit_events"] if row["action"] == "data.exported"
    ][:1]

    assert event["actor"] == f"user:{ada.id}"


async def test_the_answer_is_a_file(ada):
    answer = await ada.get(EXPORT)

    assert answer.headers["Content-Type"] == "application/json"
    name = r'attachment; filename="my-data-\d{8}T\d{6}Z\.json"'
    assert re.fullmatch(name, answer.headers["Content-Disposition"])


async def test_more_rows_than_a_batch_are_exported_once_each_in_several_batches(
    ada, runtime, statements
):
    async with runtime.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO sessions (id, user_id, refresh_hash, expires_at) SELECT "
                f"gen_random_uuid(), {ada.id}, '\\x00', now() FROM generate_series(1, 1200)"
            )
        )

    data = await export(ada)

    assert len({row["id"] for row in data["sessions"]}) == len(data["sessions"]) == 1201
    assert len([one for one in statements if "FROM sessions \nWHERE" in one]) == 3


@pytest.mark.parametrize("number", [10])
async def test_exports_are_limited_by_user(ada, bob, number):
    answers = [await ada.get(EXPORT) for _ in range(number + 1)]

    assert [answer.status_code for answer in answers] == [200] * number + [429]
    assert (await bob.get(EXPORT)).status_code == 200


async def test_the_export_of_one_who_deletes_the_account_is_refused(ada):
    await ada.post("/users/me/deletion", json={"current_password": PASSWORD})

    assert (await ada.get(EXPORT)).status_code == 401


async def test_the_export_does_not_tell_which_administrator_acted(ada, root):
    await root.patch(f"/users/{ada.id}", json={"full_name": "Ada"})

    events = (await export(ada))["audit_events"]

    (by_root,) = [event for event in events if event["action"] == "user.updated"]
    assert (by_root["actor"], by_root["actor_name"], by_root["address"]) == (None, None, None)
    logins = [event for event in events if event["action"] == "session.started"]
    assert {event["actor"] for event in logins} == {f"user:{ada.id}"}

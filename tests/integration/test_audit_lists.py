"""The audit trail as it is read: filters, cursors, exports, one's own events."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.repositories.audit import AuditRepository
from app.runtime import Runtime
from app.schemas.audit import AuditFilters
from tests.conftest import Person
from tests.integration.test_audit_trail import only

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
INSERT = text("""
    INSERT INTO audit_events (created_at, action, outcome, actor, target, user_id, address)
    VALUES (:created_at, :action, 'success', :actor, :target, :user_id, '192.0.2.1')
""")

MANY = text("""
    INSERT INTO audit_events (created_at, action, outcome, actor, target, user_id, address)
    SELECT '2026-06-15', 'user.updated', 'success', 'user:' || i, 'user:' || i, i, '192.0.2.1'
    FROM generate_series(1, 2000) AS i
""")
"""As many events as make the choice of an index clear. The month has no partition of its own."""


async def add(runtime: Runtime, **fields: Any) -> None:
    values = {
        "created_at": NOW,
        "action": "user.updated",
        "actor": "user:90",
        "target": "user:91",
        "user_id": 91,
    }
    async with runtime.engine.begin() as connection:
        await connection.execute(INSERT, values | fields)


async def found(root: Person, query: str) -> list[str]:
    response = await root.get(f"/audit?{query}")
    assert response.status_code == 200, response.text
    return [event["target"] for event in response.json()["items"]]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("actor=user:7", {"actor": "user:7"}),
        ("actor=command:set-password", {"actor": "command:set-password"}),
        ("target=role:7", {"target": "role:7"}),
        ("user_id=7", {"user_id": 7}),
        ("action=user.deleted", {"action": "user.deleted"}),
        ("created_from=2026-06-16T00:00:00Z", {"created_at": NOW + timedelta(days=1)}),
        ("created_to=2026-06-15T12:00:00Z", {"created_at": NOW - timedelta(days=1)}),
    ],
)
async def test_each_filter_selects_its_events(root, runtime, query, fields):
    await add(runtime, target="other:1")
    await add(runtime, **({"target": "wanted:1"} | fields))
    bounds = "created_to=2026-07-01T00:00:00Z&created_from=2026-05-01T00:00:00Z"
    rest = "&".join(part for part in bounds.split("&") if part.split("=")[0] not in query)

    assert await found(root, f"{query}&{rest}") == [fields.get("target", "wanted:1")]


async def test_the_newest_events_come_first_page_by_page(root, runtime):
    for number in range(5):
        await add(runtime, target=f"user:{number}", created_at=NOW + timedelta(seconds=number // 2))
    path, seen = "/audit?actor=user:90&size=2", []
    answer = (await root.get(path)).json()
    seen += answer["items"]
    while cursor := answer["next_cursor"]:
        answer = (await root.get(f"{path}&cursor={cursor}")).json()
        seen += answer["items"]

    assert [event["target"] for event in seen] == [f"user:{number}" for number in (4, 3, 2, 1, 0)]


async def test_a_cursor_of_another_list_is_refused(root, runtime):
    for _ in range(2):
        await add(runtime)
    cursor = (await root.get("/audit?actor=user:90&size=1")).json()["next_cursor"]
    response = await root.get(f"/audit?actor=user:91&cursor={cursor}")

    assert response.status_code == 422


@pytest.mark.parametrize(
    "query",
    ["action=nothing", "actor=%00", "user_id=0", "created_from=1", "sort_by=id", "search=x"],
)
async def test_an_invalid_filter_is_refused(root, query):
    assert (await root.get(f"/audit?{query}")).status_code == 422


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_no_route_changes_an_event(root, method):
    assert (await root.request(method, "/audit")).status_code == 405
    assert (await root.request(method, "/audit/1")).status_code in {404, 405}


async def test_events_are_exported_as_ndjson_and_the_export_is_an_event(root, runtime):
    await add(runtime, target="user:1")
    response = await root.get("/audit/export?actor=user:90")

    assert response.headers["Content-Type"] == "application/x-ndjson"
    (event,) = [json.loads(line) for line in response.text.splitlines()]
    assert event["target"] == "user:1"
    exported = await only(runtime, "data.exported")
    assert exported["target"] == "list:audit_events"
    assert exported["after"] == {"format": "ndjson", "actor": "user:90"}


async def test_events_are_exported_as_csv(root, runtime):
    await root.patch("/users/me", json={"full_name": "Ada King"})
    response = await root.get("/audit/export?format=csv&action=user.updated")

    heading, line = response.text.splitlines()
    assert heading.startswith("id,created_at,action,outcome,actor")
    assert '""full_name"": ""Ada King""' in line


async def test_own_events_are_those_of_ones_account(root, ada: Person, bob: Person):
    await bob.patch("/users/me", json={"full_name": "Bob"})
    await ada.patch("/users/me", json={"full_name": "Ada"})
    await root.patch(f"/users/{ada.id}", json={"full_name": "Ada King"})
    items = (await ada.get("/users/me/events")).json()["items"]

    assert [event["action"] for event in items] == [
        "user.updated",
        "user.updated",
        "session.started",
        "user.created",
    ]
    by_root, own, login, _ = items
    assert (by_root["is_own"], by_root["address"]) == (False, None)
    assert (own["is_own"], own["address"]) == (True, "192.0.2.7")
    assert login["is_own"]
    assert not {"actor", "actor_name", "request_id"} & by_root.keys()


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"actor": "user:1"}, "_actor_created_at_id_idx"),
        ({"target": "user:1"}, "_target_created_at_id_idx"),
        ({"user_id": 1}, "_user_id_created_at_id_idx"),
        ({"action": "user.deleted"}, "_action_created_at_id_idx"),
        ({"created_to": NOW}, "_pkey"),
        ({}, "_pkey"),
    ],
)
async def test_each_filter_has_an_index(root, runtime, filters, index):
    query = AuditRepository.lists.select(AuditFilters(**filters)).limit(51)
    async with runtime.engine.connect() as connection:
        await connection.execute(MANY)
        await connection.execute(text("ANALYZE audit_events_default"))
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        await connection.execute(text("SET LOCAL enable_sort = off"))
        await connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        compiled = query.compile(connection.sync_engine, compile_kwargs={"literal_binds": True})
        plan = "\n".join(await connection.scalars(text(f"EXPLAIN {compiled}")))

    assert "Sort  (" not in plan
    (scan,) = [line for line in plan.splitlines() if " on audit_events_default " in line]
    assert "Index Scan Backward" in scan
    assert index in scan


@pytest.mark.parametrize(
    ("order", "bound", "kept"),
    [("desc", "created_to", "created_from"), ("asc", "created_from", "created_to")],
)
async def test_a_page_behind_a_cursor_begins_there_and_not_at_the_bound(
    root, runtime, statements, order, bound, kept
):
    """With both conditions the scan would pass over all events between the two."""
    for number in range(6):
        await add(runtime, target=f"user:{number}", created_at=NOW + timedelta(days=number))
    days = {"created_from": NOW + timedelta(days=1), "created_to": NOW + timedelta(days=5)}
    query = {"size": 2, "sort_order": order, "actor": "user:90"}
    query |= {name: day.isoformat() for name, day in days.items()}
    first = (await root.get("/audit", params=query)).json()
    statements.clear()
    second = (await root.get("/audit", params=query | {"cursor": first["next_cursor"]})).json()

    found = [event["target"] for event in (*first["items"], *second["items"])]
    between = [f"user:{number}" for number in (1, 2, 3, 4)]
    assert found == (between if order == "asc" else between[::-1])
    assert second["next_cursor"] is None
    (sent,) = [statement for statement in statements if "FROM audit_events" in statement]
    compare = {
        "created_from": "audit_events.created_at >=",
        "created_to": "audit_events.created_at <",
    }
    assert compare[bound] not in sent
    assert compare[kept] in sent

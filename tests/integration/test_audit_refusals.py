"""Refusals in the audit trail: failed logins, refused access, and floods of them."""

from datetime import UTC, datetime

import pytest

from app.core.origin import Origin
from app.runtime import Runtime
from app.schemas.audit import Action
from app.services.audit.recorder import event_of
from app.services.audit_log import refusals
from app.services.audit_log.refusals import SINGLE, SINGLE_IN_ALL, SOURCES, Refusals
from tests.conftest import PASSWORD, Person, browsing, running
from tests.integration.test_audit_trail import events, only


@pytest.fixture(autouse=True)
def forgotten(client, runtime: Runtime) -> None:
    """What other tests were refused is not counted here."""
    runtime.refusals._waiting.clear()
    runtime.refusals._seen.clear()
    runtime.refusals._counted.clear()


async def test_a_failed_login_is_recorded_without_what_was_typed(client, ada: Person, runtime):
    login = {"email": ada.email, "password": "a wrong horse battery staple"}
    await client.post("/api/v1/auth/login", json=login)
    await runtime.refusals.write()

    event = await only(runtime, "login.failed")
    assert (event["actor"], event["outcome"]) == ("anonymous", "failed")
    assert (event["target"], event["address"]) == (f"user:{ada.id}", "192.0.2.7")
    assert event["request_id"]
    assert "wrong horse" not in str(event)
    assert await events(runtime, "access.refused") == []


async def test_a_login_to_no_account_is_recorded_without_the_name(client, runtime):
    login = {"email": "nobody@example.com", "password": PASSWORD}
    await client.post("/api/v1/auth/login", json=login)
    await runtime.refusals.write()

    event = await only(runtime, "login.failed")
    assert event["target"] is None
    assert "nobody" not in str(event)


async def test_refused_access_is_recorded_with_the_route(ada: Person, runtime):
    await ada.get("/users?search=secret")
    await runtime.refusals.write()

    event = await only(runtime, "access.refused")
    assert (event["actor"], event["actor_name"]) == (f"user:{ada.id}", "ada")
    assert event["outcome"] == "refused"
    assert event["after"] == {"method": "GET", "route": "/api/v1/users", "status": 403}


async def test_access_without_a_token_is_recorded_as_of_nobody(client, runtime):
    await client.get("/api/v1/users/me")
    await runtime.refusals.write()

    event = await only(runtime, "access.refused")
    assert (event["actor"], event["after"]["status"]) == ("anonymous", 401)


async def test_a_flood_from_one_network_is_a_few_events_and_a_count(app, client, runtime):
    for number in range(30):
        async with browsing(app, f"2001:db8::{number:x}") as attacker:
            await attacker.get("/api/v1/users/me")
    await runtime.refusals.write(is_last=True)

    found = await events(runtime, "access.refused")
    assert [event["count"] for event in found] == [1] * SINGLE + [30 - SINGLE]


async def test_the_count_is_written_when_the_minute_is_over(client, runtime, monkeypatch):
    for _ in range(SINGLE + 2):
        await client.get("/api/v1/users/me")
    await runtime.refusals.write()
    assert len(await events(runtime, "access.refused")) == SINGLE

    minute = int(datetime.now(UTC).timestamp()) // 60 + 1
    monkeypatch.setattr(refusals, "_minute", lambda: minute)
    await runtime.refusals.write()

    assert [event["count"] for event in await events(runtime, "access.refused")][-1] == 2


async def test_a_flood_from_everywhere_fills_neither_the_table_nor_the_memory(client, runtime):
    kept = Refusals(runtime.session_maker)
    for number in range(5_000):
        origin = Origin(address=f"10.0.{number // 250}.{number % 250}")
        kept.add(event_of(Action.LOGIN_FAILED, outcome="failed", by=origin))
    assert len(kept._waiting) + len(kept._counted) + len(kept._seen) < 3 * SINGLE_IN_ALL
    await kept.write(is_last=True)

    found = await events(runtime, "login.failed")
    assert sum(event["count"] for event in found) == 5_000
    assert len(found) <= SINGLE_IN_ALL + SOURCES + 1
    assert [event["address"] for event in found].count(None) == 1


async def test_refusals_wait_for_a_database_that_is_away(settings, client, runtime, monkeypatch):
    kept = Refusals(runtime.session_maker)
    kept.add(event_of(Action.LOGIN_FAILED, outcome="failed"))
    with monkeypatch.context() as patch:
        patch.setattr(kept, "_session_maker", _away)
        await kept.write()
    assert await events(runtime, "login.failed") == []

    await kept.write()

    assert len(await events(runtime, "login.failed")) == 1


def _away() -> None:
    raise ConnectionRefusedError


async def test_refusals_of_the_last_second_are_written_when_the_process_stops(
    settings, client, runtime
):
    async with running(settings) as other, browsing(other) as stranger:
        await stranger.get("/api/v1/users/me")

    assert len(await events(runtime, "access.refused")) == 1

"""The day on which a user was seen last: written once a day, and filtered by."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from html import unescape

import httpx
import pytest
from sqlalchemy import text

from app.repositories.user.activity import UserActivityRepository
from tests.conftest import Person, browsing, running
from tests.impersonation import act_as
from tests.integration.test_api_keys import robot_of
from tests.integration.test_dashboard_page import PAGE, browser, log_in
from tests.integration.test_own_data import export
from tests.integration.test_sessions import pass_time, refreshed, waiting_for_locks

__all__ = ["browser"]
DAY = 24 * 3600


async def execute(runtime, query: str, **values: object) -> None:
    async with runtime.engine.begin() as connection:
        await connection.execute(text(query), values)


async def seen_on(runtime, person: Person) -> date | None:
    query = text("SELECT seen_on FROM user_activity WHERE user_id = :id")
    async with runtime.engine.connect() as connection:
        found: date | None = await connection.scalar(query, {"id": person.id})
        return found


async def see(runtime, person: Person, days_ago: int | None) -> None:
    """Have a user be seen last so many days ago; None: never."""
    await execute(runtime, "DELETE FROM user_activity WHERE user_id = :id", id=person.id)
    if days_ago is not None:
        query = (
            "INSERT INTO user_activity"
            " SELECT :id, CAST(now() AT TIME ZONE 'UTC' AS date) - CAST(:days AS integer)"
        )
        await execute(runtime, query, id=person.id, days=days_ago)


async def is_of_today(runtime, person: Person) -> bool:
    """Today by the database, whichever day that is: midnight may pass during a test."""
    query = text(
        "SELECT seen_on >= CAST((now() - interval '5 minutes') AT TIME ZONE 'UTC' AS date)"
        " FROM user_activity WHERE user_id = :id"
    )
    async with runtime.engine.connect() as connection:
        return bool(await connection.scalar(query, {"id": person.id}))


async def pass_days(runtime, person: Person, days: int = 2) -> None:
    """Have all that is stored of a user's last use be so many days old."""
    await pass_time(runtime, days * DAY)
    await execute(runtime, "UPDATE api_keys SET last_used_at = last_used_at - interval '2 days'")
    await see(runtime, person, days)


@pytest.fixture
async def elsewhere(settings, client) -> AsyncIterator[httpx.AsyncClient]:
    async with running(settings) as app, browsing(app) as other:
        yield other


async def test_a_login_is_written(ada, runtime):
    assert await is_of_today(runtime, ada)


async def test_who_signs_up_was_not_seen(client, root, runtime):
    user = {"email": "eve@example.com", "password": "correct horse battery staple"}
    made = (await client.post("/api/v1/users", json=user)).json()

    assert await seen_on(runtime, replace(root, id=made["id"])) is None


async def test_the_first_use_of_a_session_on_a_day_is_written(ada, runtime):
    await pass_days(runtime, ada)
    assert not await is_of_today(runtime, ada)

    await ada.get("/users/me")

    assert await is_of_today(runtime, ada)


async def test_a_refresh_is_written(ada, client, runtime):
    await pass_days(runtime, ada)

    answer = await refreshed(client, ada.tokens["refresh_token"])

    assert answer.status_code == 200
    assert await is_of_today(runtime, ada)


@asynccontextmanager
async def refusing_days(runtime) -> AsyncIterator[None]:
    """The database has no space for a day within the block."""
    await execute(
        runtime,
        "CREATE FUNCTION refuse_activity() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION USING ERRCODE = ''53100''; END'",
    )
    await execute(
        runtime,
        "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON user_activity"
        " FOR EACH ROW EXECUTE FUNCTION refuse_activity()",
    )
    try:
        yield
    finally:
        await execute(runtime, "DROP FUNCTION refuse_activity CASCADE")


@pytest.mark.parametrize("next_use", ["refresh", "request"])
async def test_a_refresh_succeeds_without_the_day_and_the_next_use_writes_it(
    ada, client, runtime, next_use
):
    await pass_days(runtime, ada)
    async with refusing_days(runtime):
        answer = await refreshed(client, ada.tokens["refresh_token"])
    assert answer.status_code == 200
    assert not await is_of_today(runtime, ada)

    if next_use == "refresh":
        again = await refreshed(client, answer.json()["refresh_token"])
    else:
        again = await client.get(
            "/api/v1/users/me",
            headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
        )

    assert again.status_code == 200
    assert await is_of_today(runtime, ada)


async def test_the_use_of_an_api_key_is_written(ada, runtime):
    robot = await robot_of(ada)
    await robot.get("/users/me")
    await pass_days(runtime, ada)

    await robot.get("/users/me")

    assert await is_of_today(runtime, ada)


async def test_the_first_use_of_a_new_api_key_is_written(ada, runtime):
    robot = await robot_of(ada)
    await pass_days(runtime, ada)

    await robot.get("/users/me")

    assert await is_of_today(runtime, ada)


async def test_an_impersonation_is_no_use_by_the_user(root, ada, runtime):
    await see(runtime, ada, 5)
    acting = await act_as(root, ada)
    query = "UPDATE sessions SET last_seen_at = last_seen_at - interval '2 days'"
    await execute(runtime, query)
    await runtime.cache.redis.flushall()

    assert (await acting.get("/users/me")).status_code == 200

    assert not await is_of_today(runtime, ada)


async def test_a_use_on_the_same_day_costs_no_further_statement(ada, runtime, statements):
    """The last use is two minutes old, so that this one is written to the session; but it is of
    today, in UTC."""
    query = (
        "UPDATE sessions SET last_seen_at ="
        " greatest(now() - interval '2 minutes', date_trunc('day', now(), 'UTC'))"
    )
    await execute(runtime, query)
    await runtime.cache.redis.flushall()
    statements.clear()

    await ada.get("/users/me")

    assert not any("user_activity" in statement for statement in statements)


async def test_a_later_day_is_never_replaced_by_an_earlier_one(ada, runtime):
    await see(runtime, ada, -1)  # by a database whose clock was ahead
    before = await seen_on(runtime, ada)
    await pass_time(runtime, 2 * DAY)

    await ada.get("/users/me")

    assert await seen_on(runtime, ada) == before


@pytest.mark.parametrize("days_ago", [None, 3])
async def test_two_processes_at_once_write_it_once(
    ada, elsewhere, runtime, settings, monkeypatch, days_ago
):
    phone = replace(ada, client=elsewhere)
    await phone.login()
    await pass_time(runtime, 2 * DAY)
    await see(runtime, ada, days_ago)
    query = "CREATE TABLE written AS SELECT user_id FROM user_activity LIMIT 0"
    await execute(runtime, query)
    await execute(
        runtime,
        "CREATE FUNCTION note_activity() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO written VALUES (NEW.user_id); RETURN NULL; END'",
    )
    await execute(
        runtime,
        "CREATE TRIGGER note AFTER INSERT OR UPDATE ON user_activity"
        " FOR EACH ROW EXECUTE FUNCTION note_activity()",
    )
    try:
        answers = await asyncio.gather(*(one.get("/users/me") for one in (ada, phone) * 4))
        async with runtime.engine.connect() as connection:
            written = await connection.scalar(text("SELECT count(*) FROM written"))
    finally:
        for drop in ("TRIGGER note ON user_activity", "FUNCTION note_activity", "TABLE written"):
            await execute(runtime, f"DROP {drop}")

    assert {answer.status_code for answer in answers} == {200}
    assert await is_of_today(runtime, ada)
    assert written == 1


async def test_a_user_who_is_deleted_meanwhile_is_not_written(ada, runtime):
    """The statement waits for the deletion, and neither fails nor waits in a circle with it."""
    await see(runtime, ada, None)
    async with runtime.session_maker() as deleting, runtime.session_maker() as using:
        await deleting.execute(text("DELETE FROM users WHERE id = :id"), {"id": ada.id})
        recording = asyncio.create_task(UserActivityRepository(using).record(ada.id))
        await waiting_for_locks(runtime, 1)
        await deleting.commit()
        await recording
        await using.commit()

    assert await seen_on(runtime, ada) is None


async def test_the_day_goes_with_the_user(root, ada, runtime):
    assert (await root.delete(f"/users/{ada.id}")).status_code == 204

    assert await seen_on(runtime, ada) is None


async def test_it_is_in_the_export_of_ones_own_data(ada, runtime):
    (row,) = (await export(ada))["user_activity"]

    day = await seen_on(runtime, ada)
    assert day is not None
    assert row == {"user_id": ada.id, "seen_on": day.isoformat()}


@pytest.fixture
async def people(root, ada, bob, runtime) -> dict[str, Person]:
    """`root` is seen today; others by each test."""
    await see(runtime, root, 0)
    return {"ada": ada, "bob": bob}


async def names(root: Person, path: str = "/users", **params: object) -> list[str]:
    response = await root.get(path, params={"sort_by": "username", "sort_order": "asc", **params})
    assert response.status_code == 200, response.text
    return [user["username"] for user in response.json()["items"]]


@pytest.mark.parametrize("path", ["/users", "/users/cursor"])
@pytest.mark.parametrize(("period", "days"), [("today", 1), ("7d", 7), ("30d", 30), ("90d", 90)])
async def test_a_period_has_as_many_days_as_it_says_with_today(
    root, people, runtime, path, period, days
):
    await see(runtime, people["ada"], days - 2)  # a day to spare, should midnight pass
    await see(runtime, people["bob"], days)

    assert await names(root, path, seen_within=period) == ["ada", "root"]


@pytest.mark.parametrize("path", ["/users", "/users/cursor"])
@pytest.mark.parametrize("days", [30, 90, 365])
async def test_not_seen_for_some_days_has_those_who_never_were(root, people, runtime, path, days):
    await see(runtime, people["ada"], None)
    await see(runtime, people["bob"], days)

    assert await names(root, path, not_seen_for=f"{days}d") == ["ada", "bob"]
    await see(runtime, people["bob"], days - 2)
    assert await names(root, path, not_seen_for=f"{days}d") == ["ada"]


async def test_never_seen(root, people, runtime):
    await see(runtime, people["ada"], None)
    await see(runtime, people["bob"], 4000)

    assert await names(root, not_seen_for="ever") == ["ada"]


async def test_it_goes_together_with_other_filters_search_and_the_export(root, people, runtime):
    await see(runtime, people["ada"], 40)
    await see(runtime, people["bob"], 40)

    assert await names(root, seen_within="90d", not_seen_for="30d") == ["ada", "bob"]
    assert await names(root, not_seen_for="30d", search="bo", is_active=True) == ["bob"]
    exported = await root.get("/users/export", params={"not_seen_for": "30d", "format": "ndjson"})
    assert exported.text.count("\n") == 2


@pytest.mark.parametrize(
    "query", ["seen_within=8d", "seen_within=", "not_seen_for=7d", "not_seen_for=never"]
)
@pytest.mark.parametrize("path", ["/users", "/users/cursor", "/users/export"])
async def test_another_period_is_a_422_that_names_the_filter(root, path, query):
    response = await root.get(f"{path}?{query}")

    assert response.status_code == 422
    assert [detail["field"] for detail in response.json()["details"]] == [query.partition("=")[0]]


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


async def test_the_filters_are_fields_and_chips_of_the_list(admin, people, runtime):
    await see(runtime, people["ada"], 40)
    await see(runtime, people["bob"], None)
    page = await admin.get(f"{PAGE}/users?seen_within=90d&not_seen_for=30d")
    never = await admin.get(f"{PAGE}/users?not_seen_for=ever")

    found = dict(re.findall(r'<a class="chip" href="([^"]*)">(.*?)</a>', page.text))
    words = {re.sub("<[^>]*>", "", label): unescape(url) for url, label in found.items()}
    assert words == {
        "Remove Last seen: Last 90 days": f"{PAGE}/users?not_seen_for=30d",
        "Remove Not seen: Last 30 days": f"{PAGE}/users?seen_within=90d",
    }
    assert '<option value="90d" selected>Last 90 days</option>' in page.text
    assert '<option value="30d" selected>Last 30 days</option>' in page.text
    assert "1 to 1 of 1 user" in page.text
    assert "Not seen: <strong>Ever</strong>" in never.text
    assert "seen_within=90d" in unescape(page.text).partition('class="as-api')[2]


async def test_a_column_of_the_list_tells_the_day_and_is_read_only_where_it_is_shown(
    admin, people, runtime, statements
):
    await see(runtime, people["ada"], None)
    query = "UPDATE user_activity SET seen_on = '2026-11-07' WHERE user_id = :id"
    await execute(runtime, query, id=people["bob"].id)
    statements.clear()

    plain = await admin.get(f"{PAGE}/users")
    is_read = any("user_activity" in statement for statement in statements)
    shown = await admin.get(f"{PAGE}/users?column=username&column=seen&sort_by=username")

    assert not is_read
    assert 'data-label="Last seen"' not in plain.text
    days = re.findall(r'<td class="cell-more" data-label="Last seen">(.*?)</td>', shown.text)
    assert {"7 Nov 2026", "Never"} <= set(days)
    assert len(days) == 3


async def test_the_page_of_a_user_tells_the_day(admin, people, runtime):
    await see(runtime, people["ada"], None)
    await execute(
        runtime,
        "UPDATE user_activity SET seen_on = '2026-11-07' WHERE user_id = :id",
        id=people["bob"].id,
    )

    pages = [await admin.get(f"{PAGE}/users/{people[name].id}") for name in ("ada", "bob")]

    days = [re.findall(r"<dt>Last seen</dt><dd>(.*?)</dd>", page.text) for page in pages]
    assert days == [["Never"], ["7 Nov 2026"]]


async def test_a_view_with_the_filters_can_be_saved(admin, root):
    page = await admin.get(f"{PAGE}/users?not_seen_for=90d")

    assert "/users/views/new?not_seen_for=90d" in page.text

"""Actions on many users: confirmed for a list as filtered, done by a worker, stopped, undone."""

import asyncio
import re
from collections.abc import AsyncIterator
from html import unescape
from time import time
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from app.core.exceptions import ImpersonationException
from app.core.security.signing import FormSigner
from app.runtime import Runtime
from app.schemas.access.session import Impersonator, Principal
from app.schemas.user import UserSchema
from app.services.bulk_actions import run as bulk_run
from app.services.bulk_actions import service as bulk_service
from app.services.bulk_actions.run import RIGHTS_LOST, WAITS, BulkActionRun
from tests.conftest import Person, browsing, person
from tests.integration.test_account_deletion import delete
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in
from tests.integration.test_roles import give
from tests.integration.test_transfers import execute, rows, run_jobs
from tests.polling import within_async
from tests.process import worker

__all__ = ["browser"]
NEW, PLACES = f"{PAGE}/bulk-actions/new", f"{PAGE}/bulk-actions"
COUNT = 146
MANY = (
    "INSERT INTO users (email, username, hashed_password, is_active, is_superuser) "
    f"SELECT 'person' || n, 'person' || n, 'x', true, false FROM generate_series(1, {COUNT}) n"
)
PERSONS = "search=person"


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


@pytest.fixture
async def many(client: httpx.AsyncClient, runtime: Runtime) -> None:
    await execute(runtime, MANY)


@pytest.fixture
async def second(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of another admin."""
    async with browsing(app) as browser:
        browser.base_url = httpx.URL("https://test")
        yield browser


async def ask(browser: httpx.AsyncClient, action: str, query: str = PERSONS) -> httpx.Response:
    return await browser.get(NEW, params={"action": action, "query": query})


async def send(browser: httpx.AsyncClient, asked: httpx.Response) -> httpx.Response:
    return await browser.post(PLACES, data=form_in(asked, "/bulk-actions"))


async def begun(browser: httpx.AsyncClient, action: str, query: str = PERSONS) -> str:
    """The URL of an action that begins."""
    answer = await send(browser, await ask(browser, action, query))
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"].startswith(f"{PLACES}/"), answer.headers["Location"]
    assert "new?" not in answer.headers["Location"]
    return answer.headers["Location"]


async def press(browser: httpx.AsyncClient, place: str, button: str) -> httpx.Response:
    page = await browser.get(place)
    token = form_in(page, "/logout")["csrf"]
    return await browser.post(f"{place}/{button}", data={"csrf": token})


def id_of(place: str) -> UUID:
    return UUID(place.rpartition("/")[2])


async def work(runtime: Runtime, place: str) -> None:
    """One attempt."""
    async with runtime.session_maker() as db:
        await runtime.bulk_action_run(db).run(id_of(place))


async def active(runtime: Runtime) -> int:
    query = "SELECT count(*) FROM users WHERE is_active AND username LIKE 'person%'"
    return int((await rows(runtime, query))[0][0])


async def record(runtime: Runtime, place: str) -> dict[str, Any]:
    columns = "outcome", "reason", "done", "total", "changed", "refused", "run"
    query = f"SELECT {', '.join(columns)} FROM bulk_actions WHERE id = '{id_of(place)}'"
    (row,) = await rows(runtime, query)
    return dict(zip(columns, row, strict=True))


async def changes(runtime: Runtime, action: str = "user.deactivated") -> list[tuple[Any, ...]]:
    return await rows(
        runtime,
        f"SELECT actor, actor_name, user_id FROM audit_events WHERE action = '{action}'"
        " ORDER BY user_id",
    )


async def test_the_question_tells_the_number_the_filters_and_the_consequence(admin, many):
    asked = await ask(admin, "deactivate", "search=person&is_active=true&page=3")

    assert f"Deactivate {COUNT} users?" in asked.text
    assert "The users are logged out everywhere at once" in asked.text
    assert "State: <strong>Active" in asked.text
    assert "Search: <strong>person" in asked.text
    assert "It can be undone for a week" in asked.text


async def test_the_number_is_exact_where_the_list_has_an_estimate(admin, many, monkeypatch):
    monkeypatch.setattr("app.services.user.totals.COUNT_LIMIT", 100)
    asked = await ask(admin, "deactivate", "created_within=7d&is_superuser=false")

    assert f"Deactivate {COUNT} users?" in asked.text


async def test_a_worker_changes_the_users_of_all_pages_and_the_admin_is_the_actor(
    admin, root, many, runtime
):
    place = await begun(admin, "deactivate")
    waiting = await admin.get(place)
    await run_jobs(runtime)
    page = await admin.get(place)
    listed = await admin.get(PLACES)
    events = await changes(runtime)

    assert f"0 of {COUNT} users" in waiting.text
    assert "every 2s" in waiting.text
    assert await active(runtime) == 0
    assert f"{COUNT} changed" in page.text
    assert "every 2s" not in page.text
    assert place in listed.text
    assert len(events) == COUNT
    assert {event[:2] for event in events} == {(f"user:{root.id}", "root")}
    (begin,) = await rows(
        runtime, "SELECT after FROM audit_events WHERE action = 'bulk_action.begun'"
    )
    assert begin[0]["users"] == COUNT
    assert begin[0]["filters"] == {"search": "person"}


@pytest.mark.parametrize(
    ("action", "query"),
    [
        ("delete", "SELECT id FROM users WHERE username LIKE 'person%'"),
        ("end_sessions", "SELECT id FROM sessions WHERE ended_at IS NULL AND user_id > 1"),
        ("reset_mfa", "SELECT id FROM users WHERE has_mfa"),
    ],
)
async def test_what_cannot_be_undone_says_so(admin, many, runtime, action, query):
    await execute(
        runtime,
        "INSERT INTO sessions (id, user_id, refresh_hash, expires_at) "
        "SELECT gen_random_uuid(), id, sha256(id::text::bytea), now() + interval '1 day' "
        "FROM users WHERE username LIKE 'person%'",
    )
    asked = await ask(admin, action)
    place = await begun(admin, action)
    await run_jobs(runtime)
    page = await admin.get(place)
    undone = await press(admin, place, "undo")

    assert "It cannot be undone" in asked.text
    assert await rows(runtime, query) == []
    assert (await record(runtime, place))["done"] == COUNT
    assert "cannot be undone" in page.text
    assert ">Undo<" not in page.text
    assert "There is nothing to undo" in (await admin.get(undone.headers["Location"])).text


async def test_refusals_are_listed_and_do_not_stop_the_others(
    browser, client, root, ada, many, runtime
):
    await give(root, ada, "users:read", "users:update")
    await log_in(browser, ada)
    place = await begun(browser, "deactivate", "")
    await run_jobs(runtime)
    page = await browser.get(place)
    found = await record(runtime, place)

    assert "Only a superuser may change a superuser" in page.text
    assert "This is the account of the admin who began it" in page.text
    assert (found["changed"], found["refused"], found["outcome"]) == (COUNT, 2, "done")
    assert (await root.get("/users/me")).status_code == 200
    assert (await ada.get("/users/me")).status_code == 200


async def test_the_last_superuser_is_refused(admin, client, many, root, runtime):
    other = await person(client, runtime, "other", is_superuser=True)
    place = await begun(admin, "deactivate", "is_superuser=true")
    await execute(runtime, f"UPDATE users SET is_superuser = false WHERE id = {root.id}")
    async with runtime.session_maker() as db:
        await give_permissions(runtime, root.id)
        await runtime.bulk_action_run(db).run(id_of(place))

    found = await record(runtime, place)
    assert found["refused"] == 2
    assert (await other.get("/users/me")).status_code == 200


async def give_permissions(runtime: Runtime, user_id: int) -> None:
    await execute(
        runtime,
        "INSERT INTO roles (id, name, permissions) VALUES (7, 'r', '{users:read,users:update}')",
    )
    await execute(runtime, f"INSERT INTO user_roles (user_id, role_id) VALUES ({user_id}, 7)")


async def test_refusals_beyond_a_bound_are_only_counted(admin, many, runtime, monkeypatch):
    monkeypatch.setattr(bulk_run, "MAX_REFUSALS", 3)
    place = await begun(admin, "activate")
    await execute(runtime, "DELETE FROM users WHERE username LIKE 'person%'")
    await work(runtime, place)
    page = await admin.get(place)

    assert (await record(runtime, place))["refused"] == COUNT
    assert page.text.count("User not found") == 3
    assert "The first 3 of them" in page.text


class Interrupted(BulkActionRun):
    """A statement of others runs after so many users."""

    runtime: Runtime
    statement = ""
    after = 30
    count = 0

    async def _change(self, *arguments: Any) -> bool:
        self.count += 1
        if self.count == self.after + 1:
            async with self.runtime.engine.begin() as connection:
                await connection.exec_driver_sql(self.statement)
        return await super()._change(*arguments)


async def interrupted(runtime: Runtime, place: str, statement: str) -> None:
    async with runtime.session_maker() as db:
        attempt = Interrupted(db, runtime.user_actions(db), runtime.settings.auth)
        attempt.runtime, attempt.statement = runtime, statement
        await attempt.run(id_of(place))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE users SET is_superuser = false WHERE id = 1",
        "UPDATE users SET is_active = false WHERE id = 1",
        "DELETE FROM users WHERE id = 1",
        "UPDATE sessions SET ended_at = now() WHERE user_id = 1",
    ],
)
async def test_an_admin_who_loses_the_rights_changes_nobody_more_after_the_batch(
    admin, many, root, runtime, change
):
    place = await begun(admin, "deactivate")
    await interrupted(runtime, place, change)
    found = await record(runtime, place)

    assert root.id == 1
    assert (found["outcome"], found["reason"]) == ("failed", RIGHTS_LOST)
    assert found["done"] == 2 * bulk_run.BATCH
    assert await active(runtime) == COUNT - found["done"]


@pytest.mark.parametrize(
    ("statement", "outcome"),
    [
        ("UPDATE bulk_actions SET outcome = 'cancelled'", "cancelled"),
        ("UPDATE bulk_actions SET run = run + 1", None),
    ],
    ids=["stopped", "another attempt has begun"],
)
async def test_an_attempt_that_was_ended_changes_nobody_more(
    admin, many, runtime, statement, outcome
):
    place = await begun(admin, "deactivate")
    await interrupted(runtime, place, statement)
    found = await record(runtime, place)

    assert (found["outcome"], found["done"], found["changed"]) == (outcome, 30, 30)
    assert await active(runtime) == COUNT - 30


async def test_an_action_whose_worker_was_killed_goes_on_and_changes_each_user_once(
    admin, many, runtime, servers, tmp_path
):
    place = await begun(admin, "deactivate")

    async def progress() -> int:
        return int((await record(runtime, place))["done"])

    async def is_over() -> bool:
        return (await record(runtime, place))["outcome"] is not None

    blocker = await runtime.engine.connect()
    await blocker.exec_driver_sql("SELECT id FROM users WHERE username = 'person60' FOR UPDATE")
    with worker(servers, tmp_path, JOBS_LOST_AFTER="1") as process:
        assert await within_async(60, lambda: reached(progress, 59))
        process.kill()
    between = await record(runtime, place)
    await blocker.rollback()
    await blocker.close()
    with worker(servers, tmp_path, JOBS_LOST_AFTER="1"):
        assert await within_async(60, is_over)
    await work(runtime, place)  # and once more
    found = await record(runtime, place)

    assert between["done"] == between["changed"] == 59
    assert (found["outcome"], found["done"], found["changed"]) == ("done", COUNT, COUNT)
    assert found["run"] >= 2
    assert len(await changes(runtime)) == COUNT
    assert await active(runtime) == 0


async def reached(progress: Any, count: int) -> bool:
    return bool(await progress() >= count)


async def test_a_failed_attempt_is_followed_by_one_that_goes_on(admin, many, runtime):
    place = await begun(admin, "deactivate")
    with pytest.raises(Exception, match="no_such_table"):
        await interrupted(runtime, place, "SELECT 1 FROM no_such_table")
    between = await record(runtime, place)
    await work(runtime, place)

    assert (between["outcome"], between["done"]) == (None, 30)
    assert (await record(runtime, place))["changed"] == COUNT
    assert len(await changes(runtime)) == COUNT


async def test_two_admins_at_once_have_one_action_each(admin, client, many, runtime, second):
    other = await person(client, runtime, "other", is_superuser=True)
    await log_in(second, other)
    first = await begun(admin, "deactivate")
    refused = await send(admin, await ask(admin, "end_sessions"))
    told = await admin.get(refused.headers["Location"])
    theirs = await begun(second, "end_sessions")
    async with asyncio.timeout(30):
        await asyncio.gather(work(runtime, first), work(runtime, theirs))

    assert "Another action of yours on many users has not ended" in told.text
    assert (await record(runtime, first))["outcome"] == "done"
    assert (await record(runtime, theirs))["outcome"] == "done"
    assert (await record(runtime, theirs))["done"] == COUNT


async def test_an_admin_sees_and_stops_only_their_own(admin, root, ada, many, runtime, second):
    await give(root, ada, "users:read", "users:update")
    await log_in(second, ada)
    place = await begun(admin, "deactivate")
    theirs = await begun(second, "activate")

    seen = await second.get(place)
    token = form_in(await second.get(PLACES), "/logout")["csrf"]
    stopped = await second.post(f"{place}/stop", data={"csrf": token})
    listed = await second.get(PLACES)

    assert (seen.status_code, stopped.status_code) == (404, 404)
    assert (await record(runtime, place))["outcome"] is None
    assert place not in listed.text
    assert (await admin.get(theirs)).status_code == 200


async def test_a_waiting_action_is_stopped_with_its_job(admin, many, runtime):
    place = await begun(admin, "deactivate")
    await press(admin, place, "stop")
    page = await admin.get(place)
    again = await press(admin, place, "stop")
    told = await admin.get(again.headers["Location"])

    assert "It was stopped" in page.text
    assert "It had ended before" in told.text
    assert await rows(runtime, "SELECT id FROM pgqueuer") == []
    assert await active(runtime) == COUNT
    assert await changes(runtime, "bulk_action.stopped") != []


async def test_an_undo_is_for_exactly_those_who_were_changed_and_are_still_so(admin, many, runtime):
    await execute(runtime, "UPDATE users SET is_active = false WHERE username LIKE 'person1%'")
    were = COUNT - await active(runtime)
    place = await begun(admin, "deactivate")
    await run_jobs(runtime)
    done = await record(runtime, place)
    await execute(runtime, "UPDATE users SET is_active = true WHERE username = 'person25'")
    undo = (await press(admin, place, "undo")).headers["Location"]
    await run_jobs(runtime)
    undone = await record(runtime, undo)
    again = await press(admin, place, "undo")
    told = await admin.get(again.headers["Location"])

    assert (done["changed"], done["done"]) == (COUNT - were, COUNT)
    assert undone["total"] == undone["changed"] == COUNT - were - 1
    assert await active(runtime) == COUNT - were
    assert "Undo: Activate" in (await admin.get(undo)).text
    assert "No users match" in told.text


async def test_an_undo_leaves_out_who_was_changed_since_and_made_the_same_again(
    admin, many, runtime
):
    place = await begun(admin, "deactivate")
    await run_jobs(runtime)
    changed = "UPDATE users SET is_active = {}, updated_at = now() WHERE username = 'person25'"
    await execute(runtime, changed.format("true"))
    await execute(runtime, changed.format("false"))
    await press(admin, place, "undo")
    await run_jobs(runtime)

    inactive = "SELECT username FROM users WHERE NOT is_active"
    assert await rows(runtime, inactive) == [("person25",)]


async def test_users_who_are_so_already_are_not_touched(admin, ada, many, runtime):
    await delete(ada)
    place = await begun(admin, "deactivate", "")
    await run_jobs(runtime)
    voided = f"SELECT voided_at FROM one_time_tokens WHERE user_id = {ada.id}"

    assert await rows(runtime, voided) == [(None,)]
    assert (await record(runtime, place))["changed"] == COUNT


async def test_an_activation_does_not_prevent_a_deletion_that_was_asked_for(
    admin, ada, many, runtime
):
    await delete(ada)
    place = await begun(admin, "activate", "is_active=false")
    await run_jobs(runtime)

    assert WAITS in unescape((await admin.get(place)).text)
    assert await rows(runtime, "SELECT user_id FROM account_deletions") == [(ada.id,)]
    assert (await record(runtime, place))["refused"] == 1


async def test_an_admin_who_has_to_set_up_a_second_factor_first_changes_nobody(
    admin, many, runtime
):
    place = await begun(admin, "deactivate")
    auth = runtime.settings.auth.model_copy(update={"mfa_required_for": "everyone"})
    async with runtime.session_maker() as db:
        await BulkActionRun(db, runtime.user_actions(db), auth).run(id_of(place))

    assert (await record(runtime, place))["reason"] == RIGHTS_LOST
    assert await active(runtime) == COUNT


async def test_an_old_question_is_asked_again(admin, many, runtime, monkeypatch):
    asked = await ask(admin, "deactivate")
    now = time()
    monkeypatch.setattr("app.admin.routes.users.bulk_actions.time", lambda: now + 601)
    refused = await send(admin, asked)
    again = await admin.get(refused.headers["Location"])

    assert "asked more than ten minutes ago" in again.text
    assert await rows(runtime, "SELECT id FROM bulk_actions") == []


async def test_of_an_ended_action_only_changes_and_refusals_are_stored(admin, many, runtime):
    await execute(runtime, "UPDATE users SET is_active = false WHERE username LIKE 'person1%'")
    place = await begun(admin, "deactivate")
    await run_jobs(runtime)
    changed = (await record(runtime, place))["changed"]

    (stored,) = await rows(runtime, "SELECT count(*) FROM bulk_action_users")
    assert 0 < stored[0] == changed < COUNT


async def test_what_was_stopped_can_be_undone_and_what_runs_cannot(admin, many, runtime):
    place = await begun(admin, "deactivate")
    early = await press(admin, place, "undo")
    told = await admin.get(early.headers["Location"])
    await interrupted(runtime, place, "UPDATE bulk_actions SET outcome = 'cancelled'")
    await press(admin, place, "undo")
    await run_jobs(runtime)

    assert "There is nothing to undo" in told.text
    assert await active(runtime) == COUNT


async def test_records_are_deleted_after_a_week(admin, many, runtime):
    place = await begun(admin, "deactivate")
    await execute(runtime, "UPDATE bulk_actions SET created_at = now() - interval '8 days'")
    async with runtime.session_maker() as db:
        count = await runtime.bulk_action_service(db).purge()

    assert count == 1
    assert await rows(runtime, "SELECT user_id FROM bulk_action_users") == []
    assert (await admin.get(place)).status_code == 404


async def test_users_who_are_created_after_the_question_are_left_out(admin, many, runtime):
    asked = await ask(admin, "deactivate")
    await execute(runtime, MANY.replace("'person'", "'personlate'"))
    place = (await send(admin, asked)).headers["Location"]
    await run_jobs(runtime)

    assert (await record(runtime, place))["changed"] == COUNT
    assert await active(runtime) == COUNT


async def test_a_list_that_has_grown_since_the_question_is_asked_about_again(admin, many, runtime):
    asked = await ask(admin, "activate", "search=person&is_active=false")
    await execute(runtime, "UPDATE users SET is_active = false WHERE username = 'person3'")
    empty = await admin.get(asked.headers["Location"])
    asked = await ask(admin, "activate", "search=person&is_active=false")
    await execute(runtime, "UPDATE users SET is_active = false WHERE username = 'person4'")
    refused = await send(admin, asked)
    again = await admin.get(refused.headers["Location"])

    assert "No users match" in empty.text
    assert "More users match by now than you confirmed" in again.text
    assert "Activate 2 users?" in again.text
    assert await rows(runtime, "SELECT id FROM bulk_actions") == []
    assert await rows(runtime, "SELECT id FROM pgqueuer") == []


async def test_a_list_that_matches_nobody_by_now_begins_nothing(admin, many, runtime):
    asked = await ask(admin, "deactivate")
    await execute(runtime, "DELETE FROM users WHERE username LIKE 'person%'")
    refused = await send(admin, asked)
    again = await admin.get(refused.headers["Location"])
    told = await admin.get(again.headers["Location"])

    assert "No users match" in told.text
    assert await rows(runtime, "SELECT id FROM bulk_actions") == []


async def test_too_many_users_are_refused_before_and_after_the_question(
    admin, many, runtime, monkeypatch
):
    asked = await ask(admin, "deactivate")
    monkeypatch.setattr(bulk_service, "MAX_USERS", COUNT - 1)
    monkeypatch.setattr("app.admin.routes.users.bulk_actions.MAX_USERS", COUNT - 1)
    refused = await send(admin, asked)
    again = await admin.get(refused.headers["Location"])

    assert "filter the list, and do it in parts" in again.text
    assert '<button class="danger"' not in again.text
    assert await rows(runtime, "SELECT id FROM bulk_actions") == []


@pytest.mark.parametrize("change", ["text", "session", "purpose", "csrf"])
async def test_a_question_that_was_tampered_with_is_refused(admin, many, runtime, root, change):
    form = form_in(await ask(admin, "deactivate"), "/bulk-actions")
    forms: FormSigner = runtime.forms
    sealed = forms.unseal(form["sealed"])
    if change == "text":
        form["sealed"] = form["sealed"].replace(form["sealed"][10], "x", 1) + "A"
    elif change == "session":
        form["sealed"] = forms.seal([sealed[0], str(uuid4()), *sealed[2:]])
    elif change == "purpose":
        form["sealed"] = forms.seal(["another", *sealed[1:]])
    else:
        form["csrf"] = "x"
    answer = await admin.post(PLACES, data=form)

    assert answer.status_code == 403
    assert await rows(runtime, "SELECT id FROM bulk_actions") == []


async def test_a_grave_action_needs_a_confirmation_at_the_question_and_at_the_answer(
    admin, many, runtime
):
    asked = await ask(admin, "delete")
    await execute(
        runtime,
        "UPDATE sessions SET created_at = created_at - interval '1 hour', confirmed_at = NULL",
    )
    question, answer = await ask(admin, "delete"), await send(admin, asked)

    assert "/confirm?next=" in question.headers["Location"]
    assert answer.status_code == 403 or "/confirm" in answer.headers["Location"]
    assert await rows(runtime, "SELECT id FROM bulk_actions") == []


async def test_a_role_that_was_taken_meanwhile_begins_nothing(browser, root, ada, many, runtime):
    await give(root, ada, "users:read", "users:update")
    await log_in(browser, ada)
    asked = await ask(browser, "deactivate")
    await root.client.put(
        f"/api/v1/users/{ada.id}/roles",
        json={"roles": []},
        headers={"Authorization": f"Bearer {root.tokens['access_token']}"},
    )

    assert (await send(browser, asked)).status_code == 403
    assert await rows(runtime, "SELECT id FROM bulk_actions") == []


async def test_a_query_that_is_no_list_is_refused(admin, many):
    for query in ("nothing=1", "sort_by=hashed_password"):
        answer = await ask(admin, "deactivate", query)
        assert answer.status_code == 422


async def test_an_impersonator_begins_nothing(root, client, runtime):
    user = UserSchema.model_validate((await root.get("/users/me")).json())
    acting = Impersonator(
        user_id=9, username="x", session_id=uuid4(), is_read_only=False, expires_at=user.created_at
    )
    admin = Principal(session_id=uuid4(), user=user, impersonator=acting)
    async with runtime.session_maker() as db:
        with pytest.raises(ImpersonationException):
            await runtime.bulk_action_service(db).begin_selected("activate", [1], admin)


async def test_the_form_of_the_list_leads_to_the_question_without_scripts(admin, many):
    listed = await admin.get(f"{PAGE}/users?{PERSONS}&page=2")
    fields = dict(
        re.findall(r'<input type="hidden" name="(back|query)" value="([^"]*)"', listed.text)
    )
    sent = {name: unescape(value) for name, value in fields.items()}
    asked = await admin.get(
        f"{PAGE}/users/confirm", params={**sent, "matching": "true", "action": "deactivate"}
    )
    question = await admin.get(asked.headers["Location"])

    assert f"All {COUNT} users that match" in listed.text
    assert f"Deactivate {COUNT} users?" in question.text
    assert f"{PAGE}/users?{PERSONS}" in unescape(question.text)


async def test_more_users_by_id_than_a_request_changes_are_changed_by_a_job(admin, many, runtime):
    ids = [row[0] for row in await rows(runtime, "SELECT id FROM users WHERE id > 1 ORDER BY id")]
    params = {"action": "deactivate", "id": ids[:120]}
    asked = await admin.get(f"{PAGE}/users/confirm", params=params)
    sent = {**form_in(asked, "/users/confirm"), **params}
    place = (await admin.post(f"{PAGE}/users/confirm", data=sent)).headers["Location"]
    await run_jobs(runtime)
    too_many = await admin.get(
        f"{PAGE}/users/confirm", params={"action": "deactivate", "id": [*range(1, 302)]}
    )

    assert "A background job does it" in asked.text
    assert (await record(runtime, place))["changed"] == 120
    assert await active(runtime) == COUNT - 120
    assert too_many.status_code == 422


async def test_the_page_says_that_no_worker_runs_and_that_a_job_failed(admin, many, runtime):
    place = await begun(admin, "deactivate")
    await execute(runtime, "UPDATE pgqueuer SET created = now() - interval '1 minute'")
    waiting = await admin.get(place)
    await execute(runtime, "UPDATE pgqueuer SET status = 'failed'")
    failed = await admin.get(place)
    await execute(runtime, "DELETE FROM pgqueuer")
    gone = await admin.get(place)

    assert "No worker has begun it yet" in waiting.text
    assert "Retry its job" in failed.text
    assert "Its job ended without a result" in gone.text
    assert (await admin.get(f"{PLACES}/{UUID(int=0)}")).status_code == 404
    assert (await admin.get(f"{PLACES}/nothing")).status_code == 422

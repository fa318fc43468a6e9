"""The admin pages of jobs: lists by state, one job, retry and cancel."""

import asyncio
import re
from html import unescape

import httpx
import pytest
from sqlalchemy import text

from app.core.jobs import JobPayload
from app.repositories.background.jobs import JobQueue
from app.runtime import Runtime
from app.worker.job import Job
from app.worker.worker import running_jobs
from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in

__all__ = ["browser"]
JOBS = f"{PAGE}/jobs"
EVERY_STATE = [
    """
    INSERT INTO pgqueuer (id, priority, status, entrypoint, execute_after, attempts, payload)
    VALUES
        (1, 0, 'queued', 'greet', now(), 0, '{"user_id": 7}'),
        (2, 0, 'queued', 'greet', now() + interval '1 hour', 2, '{"user_id": 8}'),
        (3, 0, 'picked', 'sweep', now(), 0, '{}'),
        (4, 0, 'failed', 'greet', now(), 5, '{"user_id": 9}')
    """,
    """
    INSERT INTO pgqueuer_log (job_id, priority, status, entrypoint, traceback) VALUES
        (2, 0, 'queued', 'greet', '{"exception_message": "OSError: first"}'),
        (2, 0, 'queued', 'greet', '{"exception_message": "OSError: <second>"}'),
        (4, 0, 'failed', 'greet', '{"exception_message": "ValueError: no such user"}'),
        (5, 0, 'queued', 'greet', NULL),
        (5, 0, 'picked', 'greet', NULL),
        (5, 0, 'successful', 'greet', NULL),
        (6, 0, 'canceled', 'sweep', NULL)
    """,
    """
    UPDATE pgqueuer_log SET created = now() - make_interval(secs => 60 - id)
    """,
]


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person, runtime: Runtime) -> httpx.AsyncClient:
    """A browser in which a superuser is logged in; jobs of every state."""
    async with runtime.engine.begin() as connection:
        for statement in EVERY_STATE:
            await connection.execute(text(statement))
    await log_in(browser, root)
    return browser


def shown(page: httpx.Response) -> list[int]:
    assert page.status_code == 200, page.text
    return [int(job) for job in re.findall(rf'<th scope="row"><a href="{JOBS}/(\d+)', page.text)]


async def states(runtime: Runtime) -> dict[int, str]:
    async with runtime.engine.connect() as connection:
        rows = await connection.execute(text("SELECT id, status::text FROM pgqueuer"))
        return {row.id: row.status for row in rows}


async def change(browser: httpx.AsyncClient, action: str, *ids: int) -> httpx.Response:
    """By way of the question whether it is meant."""
    asked = await browser.get(f"{JOBS}/confirm", params={"action": action, "id": ids})
    assert asked.status_code == 200, asked.text
    sent = {**form_in(asked, "/jobs/confirm"), "id": [str(job) for job in ids]}
    return await browser.post(f"{JOBS}/confirm", data=sent)


@pytest.mark.parametrize(
    ("state", "ids"),
    [
        ("waiting", [1]),
        ("delayed", [2]),
        ("running", [3]),
        ("failed", [4]),
        ("done", [5]),
        ("cancelled", [6]),
    ],
)
async def test_jobs_are_listed_by_state(admin, state, ids):
    assert shown(await admin.get(JOBS, params={"state": state})) == ids


async def test_failed_jobs_are_shown_first_with_their_reason(admin):
    page = await admin.get(JOBS)

    assert shown(page) == [4]
    assert "ValueError: no such user" in page.text


async def test_the_last_reason_is_shown_and_escaped(admin):
    page = await admin.get(JOBS, params={"state": "delayed"})

    assert "OSError: &lt;second&gt;" in page.text
    assert "OSError: first" not in page.text


async def test_jobs_are_listed_by_kind(admin):
    assert shown(await admin.get(JOBS, params={"state": "running", "kind": "greet"})) == []
    assert shown(await admin.get(JOBS, params={"state": "running", "kind": "sweep"})) == [3]
    assert shown(await admin.get(JOBS, params={"state": "done", "kind": "greet"})) == [5]


async def test_a_long_list_has_pages(admin, runtime):
    async with runtime.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO pgqueuer (id, priority, status, entrypoint) "
                "SELECT n, 0, 'failed', 'greet' FROM generate_series(101, 160) n"
            )
        )

    pages = [await admin.get(JOBS, params={"page": number}) for number in (1, 2, 3)]

    assert [len(shown(page)) for page in pages] == [25, 25, 11]
    assert shown(pages[0])[0] == 160
    assert ['rel="next"' in page.text for page in pages] == [True, True, False]


@pytest.mark.parametrize(
    "query", ["state=lost", "kind=%27", "page=401", "page=0", f"kind={'a' * 101}"]
)
async def test_a_query_that_makes_no_sense_is_refused(admin, query):
    assert (await admin.get(f"{JOBS}?{query}")).status_code == 422


async def test_a_job_is_shown_with_its_input_and_history(admin):
    page = await admin.get(f"{JOBS}/2")

    assert page.status_code == 200
    assert '{"user_id": 8}' in unescape(page.text)
    assert "OSError: first" in page.text
    assert ">2</dd>" in page.text  # attempts


async def test_a_job_that_is_over_is_shown_by_its_history(admin):
    page = await admin.get(f"{JOBS}/5")

    assert page.status_code == 200
    assert ">Done<" in page.text
    assert "Input" not in page.text
    assert 'value="cancel"' not in page.text


async def test_a_job_that_never_was_is_not_found(admin):
    assert (await admin.get(f"{JOBS}/99")).status_code == 404


async def test_a_failed_job_is_retried_with_all_its_attempts(admin, runtime):
    answer = await change(admin, "retry", 4)

    assert answer.status_code == 303
    assert "Retried 1 job<" in (await admin.get(JOBS)).text
    assert (await states(runtime))[4] == "queued"
    assert shown(await admin.get(JOBS, params={"state": "waiting"})) == [4, 1]
    assert ">0</dd>" in (await admin.get(f"{JOBS}/4")).text


async def test_a_delayed_job_that_is_retried_is_due(admin):
    await change(admin, "retry", 2)

    assert shown(await admin.get(JOBS, params={"state": "waiting"})) == [2, 1]


async def test_retrying_leaves_a_running_job_alone(admin, runtime):
    answer = await change(admin, "retry", 3)

    assert answer.status_code == 303
    assert (await states(runtime))[3] == "picked"


async def test_jobs_are_cancelled_and_listed_as_such(admin, runtime):
    await change(admin, "cancel", 1, 4)

    assert (await states(runtime)).keys() == {2, 3}
    assert set(shown(await admin.get(JOBS, params={"state": "cancelled"}))) == {1, 4, 6}


async def test_jobs_that_are_over_cannot_be_chosen(admin):
    answer = await admin.get(f"{JOBS}/confirm", params={"action": "cancel", "id": [5, 99]})

    assert answer.status_code == 303
    assert "No job is selected" in (await admin.get(JOBS)).text


async def test_a_form_without_its_token_changes_nothing(admin, runtime):
    answer = await admin.post(f"{JOBS}/confirm", data={"action": "cancel", "id": "4"})

    assert answer.status_code == 403
    assert 4 in await states(runtime)


@pytest.mark.direct
async def test_a_job_that_runs_is_interrupted_when_it_is_cancelled(browser, root, runtime):
    class Long(JobPayload):
        kind = "long"

    began, ended = asyncio.Event(), asyncio.Event()

    async def work(runtime: Runtime, job: Long) -> None:
        began.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    await log_in(browser, root)
    async with runtime.session_maker() as db:
        job = await JobQueue(db).enqueue(Long())
        await db.commit()
    assert job is not None
    async with asyncio.timeout(20), running_jobs(runtime, [Job(Long, work)]):
        await began.wait()
        await change(browser, "cancel", job)
        await ended.wait()

    assert await states(runtime) == {}
    assert shown(await browser.get(JOBS, params={"state": "cancelled"})) == [job]


async def test_the_log_names_the_changed_jobs(admin, logged):
    await change(admin, "cancel", 1, 4)

    (line,) = [line for line in logged() if line["event"] == "jobs_cancelled"]
    assert sorted(line["jobs"]) == [1, 4]
    assert line["request_id"]

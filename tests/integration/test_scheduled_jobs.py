"""The jobs that are enqueued by themselves: purges."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pgqueuer import PgQueuer
from sqlalchemy import text

from app.core.jobs import JobPayload
from app.repositories.background.jobs import JobQueue
from app.runtime import Runtime
from app.schemas.background.jobs import PurgeIdempotentResponses, PurgeJobs, PurgeSessions
from app.services.jobs import JobService
from app.worker.registry import JOBS
from app.worker.worker import running_jobs
from tests.integration.test_sessions import ids, pass_time

COUNTS = "SELECT status::text, sum(count)::int FROM pgqueuer_statistics GROUP BY 1 ORDER BY 1"


async def execute(runtime: Runtime, *statements: str) -> None:
    async with runtime.engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def rows(runtime: Runtime, query: str) -> list[tuple[Any, ...]]:
    async with runtime.engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def run(runtime: Runtime, payload: JobPayload) -> None:
    """Run a job as a worker does."""
    async with runtime.session_maker() as db:
        await JobQueue(db).enqueue(payload)
        await db.commit()
    async with asyncio.timeout(20), running_jobs(runtime):
        while await rows(runtime, "SELECT id FROM pgqueuer"):  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.05)
    failures = await rows(runtime, "SELECT traceback FROM pgqueuer_log WHERE traceback IS NOT NULL")
    assert failures == []


def test_every_purge_is_scheduled_hourly_and_no_two_at_once():
    schedules = {job.kind: job.cron for job in JOBS if job.cron is not None}

    purges = {payload.kind for payload in (PurgeSessions, PurgeIdempotentResponses, PurgeJobs)}
    assert purges <= schedules.keys()
    assert len({schedules[kind] for kind in purges}) == len(purges)
    assert all(schedules[kind].endswith(" * * * *") for kind in purges)


@pytest.mark.parametrize("job", [job for job in JOBS if job.cron], ids=lambda job: job.kind)
def test_a_scheduled_job_needs_no_input_and_has_a_valid_time(job):
    assert job.payload().kind == job.kind
    PgQueuer.in_memory().schedule(job.kind, job.cron)  # which refuses what is no time


def test_no_two_kinds_have_one_name():
    assert len({job.kind for job in JOBS}) == len(JOBS)


async def test_old_sessions_are_purged_by_a_job(client, runtime, ada):
    await pass_time(runtime, timedelta(days=38).total_seconds())

    await run(runtime, PurgeSessions())

    assert await ids(runtime) == set()


async def test_stored_answers_are_purged_by_a_job(client, runtime):
    await execute(
        runtime,
        "INSERT INTO kept_answers (user_id, operation, key, fingerprint, status, body, created_at) "
        "VALUES (1, 'x', 'old', '', 201, '', now() - interval '2 days')",
    )

    await run(runtime, PurgeIdempotentResponses())

    assert await rows(runtime, "SELECT key FROM kept_answers") == []


async def test_the_history_of_ended_jobs_is_purged_and_that_of_failed_ones_stays(client, runtime):
    await execute(
        runtime,
        "INSERT INTO pgqueuer (id, priority, status, entrypoint) "
        "OVERRIDING SYSTEM VALUE VALUES (900, 0, 'failed', 'work')",
        "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, aggregated, created) "
        "VALUES (900, 'failed', 0, 'work', true, now() - interval '8 days'), "
        "(901, 'successful', 0, 'work', true, now() - interval '8 days'), "
        "(902, 'successful', 0, 'work', false, now() - interval '8 days'), "
        "(903, 'successful', 0, 'work', true, now() - interval '6 days')",
    )

    async with runtime.session_maker() as db:
        count = await JobService(db).purge(timedelta(days=7).total_seconds())

    left = await rows(runtime, "SELECT job_id FROM pgqueuer_log ORDER BY job_id")
    assert count == 1
    assert left == [(900,), (902,), (903,)]


async def test_a_purge_keeps_the_number_of_jobs(client, runtime):
    await execute(
        runtime,
        "INSERT INTO pgqueuer_statistics (created, count, priority, status, entrypoint) "
        "SELECT now() - make_interval(hours => n), 10 + n, 0, 'successful', 'work' "
        "FROM generate_series(0, 3) n",
    )

    for _ in range(2):
        await run(runtime, PurgeJobs())

    kept = await rows(
        runtime, "SELECT count(*), sum(count) FROM pgqueuer_statistics WHERE entrypoint = 'work'"
    )
    assert kept == [(2, 46)]

"""The worker: attempts, backoff, giving up, concurrency, stopping, schedules."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.core.jobs import JobGivenUp, JobPayload, JobPostponed
from app.database.queue import WorkerDriver
from app.repositories.background.jobs import JobQueue
from app.runtime import Runtime
from app.worker.executor import MAX_REASON, JobExecutor
from app.worker.health_files import touch_health_files
from app.worker.job import Job
from app.worker.worker import Worker, running_jobs


class Work(JobPayload):
    kind = "work"
    number: int = 0


class OtherWork(JobPayload):
    kind = "other-work"


@pytest.fixture
async def runtime(client, runtime):
    """With an empty queue, which is looked at often: the pooler passes no notification on."""
    jobs = runtime.settings.jobs.model_copy(update={"poll": 0.2, "lost_after": 1.0, "drain": 5.0})
    settings = runtime.settings.model_copy(update={"jobs": jobs})
    return Runtime(**{f: getattr(runtime, f) for f in Runtime.__slots__} | {"settings": settings})


async def enqueue(runtime: Runtime, *payloads: JobPayload) -> None:
    async with runtime.session_maker() as db:
        await JobQueue(db).enqueue_all(payloads or [Work()])
        await db.commit()


async def rows(runtime: Runtime, query: str) -> list[Any]:
    async with runtime.engine.connect() as connection:
        return list(await connection.execute(text(query)))


async def until(condition: Callable[[], Any], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # nothing announces it
            await asyncio.sleep(0.01)


async def until_none(runtime: Runtime, query: str = "SELECT id FROM pgqueuer") -> None:
    async with asyncio.timeout(15):
        while await rows(runtime, query):  # noqa: ASYNC110  # the database tells nobody
            await asyncio.sleep(0.02)


async def until_decided(runtime: Runtime) -> None:
    await until_none(runtime, "SELECT id FROM pgqueuer WHERE status <> 'failed'")


async def rows_changed(runtime: Runtime, statement: str) -> None:
    async with runtime.engine.begin() as connection:
        await connection.execute(text(statement))


async def outcomes(runtime: Runtime) -> list[str]:
    found = await rows(runtime, "SELECT status FROM pgqueuer_log ORDER BY id")
    return [row.status for row in found]


class Recorder:
    """A handler that notes what it was given, and fails where it is told to."""

    def __init__(self, *errors: Exception | None) -> None:
        self.done: list[int] = []
        self.errors = list(errors)

    async def __call__(self, runtime: Runtime, job: Work) -> None:
        self.done.append(job.number)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error


async def test_a_job_is_run_with_what_it_was_enqueued_with(runtime):
    handler = Recorder()
    await enqueue(runtime, Work(number=7))

    async with running_jobs(runtime, [Job(Work, handler)]):
        await until_none(runtime)

    assert handler.done == [7]
    assert await outcomes(runtime) == ["queued", "picked", "successful"]


async def test_a_job_enqueued_meanwhile_is_run_at_once(runtime):
    handler = Recorder()
    async with running_jobs(runtime, [Job(Work, handler)]):
        await asyncio.sleep(0.5)
        await enqueue(runtime, Work(number=1))
        await until(lambda: handler.done, seconds=1)


async def test_a_failed_attempt_is_followed_by_another(runtime):
    handler = Recorder(ValueError("no"), None)
    await enqueue(runtime)

    async with running_jobs(runtime, [Job(Work, handler, first_delay=0.01)]):
        await until_none(runtime)

    assert len(handler.done) == 2
    assert await outcomes(runtime) == ["queued", "picked", "queued", "picked", "successful"]


async def test_after_the_last_attempt_a_job_has_failed_and_stays_with_its_reason(runtime):
    handler = Recorder(*[ValueError("no such address")] * 9)
    await enqueue(runtime)

    async with running_jobs(runtime, [Job(Work, handler, attempts=3, first_delay=0.01)]):
        await until(lambda: len(handler.done) == 3)
        await asyncio.sleep(0.5)

    assert len(handler.done) == 3
    assert [row.status for row in await rows(runtime, "SELECT status FROM pgqueuer")] == ["failed"]
    reasons = (
        "SELECT traceback->>'exception_message' AS why FROM pgqueuer_log WHERE status = 'failed'"
    )
    assert [row.why for row in await rows(runtime, reasons)] == ["ValueError: no such address"]


async def test_a_job_that_gives_up_is_not_tried_again(runtime):
    handler = Recorder(JobGivenUp("the user is gone"))
    await enqueue(runtime)

    async with running_jobs(runtime, [Job(Work, handler, first_delay=0.01)]):
        await until(lambda: handler.done)
        await asyncio.sleep(0.5)

    assert len(handler.done) == 1
    assert (await outcomes(runtime))[-1] == "failed"


async def test_a_job_that_is_postponed_waits_as_long_as_it_says(runtime):
    handler = Recorder(JobPostponed(timedelta(hours=1), "greylisted"))
    await enqueue(runtime)

    async with running_jobs(runtime, [Job(Work, handler, first_delay=0.01)]):
        await until(lambda: handler.done)
        await asyncio.sleep(0.5)

    left = await rows(runtime, "SELECT execute_after - now() AS left, attempts FROM pgqueuer")
    assert [row.attempts for row in left] == [1]
    assert timedelta(minutes=59) < left[0].left < timedelta(minutes=61)


async def test_no_traceback_and_no_cause_of_an_error_is_stored(runtime):
    async def leak(runtime: Runtime, job: Work) -> None:
        raise OSError("x" * 2 * MAX_REASON) from ValueError("smtp://user:hidden@example.com")

    await enqueue(runtime)

    async with running_jobs(runtime, [Job(Work, leak, attempts=1)]):
        await until_decided(runtime)

    reasons = "SELECT traceback::text AS why FROM pgqueuer_log WHERE status = 'failed'"
    stored = await rows(runtime, reasons)
    assert "hidden" not in stored[0].why
    assert len(stored[0].why) < 10 * MAX_REASON


async def test_an_attempt_has_a_timeout(runtime):
    async def hang(runtime: Runtime, job: Work) -> None:
        await asyncio.sleep(60)

    await enqueue(runtime)

    async with running_jobs(runtime, [Job(Work, hang, attempts=1, timeout=0.1)]):
        await until_decided(runtime)

    assert (await outcomes(runtime))[-1] == "failed"


async def test_no_more_jobs_of_a_kind_run_at_once_than_it_allows(runtime):
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def work(runtime: Runtime, job: JobPayload) -> None:
        running[job.kind] += 1
        most[job.kind] = max(most[job.kind], running[job.kind])
        await asyncio.sleep(0.1)
        running[job.kind] -= 1

    await enqueue(runtime, *[Work()] * 8, *[OtherWork()] * 8)
    jobs: list[Job[Any]] = [Job(Work, work, concurrency=2), Job(OtherWork, work)]

    async with running_jobs(runtime, jobs), running_jobs(runtime, jobs):  # two workers
        await until_none(runtime)

    assert most["work"] == 2
    assert most["other-work"] > 2


async def test_kinds_that_a_worker_does_not_know_are_left_to_others(runtime):
    await enqueue(runtime, OtherWork())

    async with running_jobs(runtime, [Job(Work, Recorder())]):
        await asyncio.sleep(0.5)

    assert await outcomes(runtime) == ["queued"]


async def test_a_worker_that_stops_lets_its_jobs_end(runtime):
    ended = []

    async def work(runtime: Runtime, job: Work) -> None:
        await asyncio.sleep(0.5)
        ended.append(job.number)

    async with running_job(runtime, work) as worker:
        worker.stop()

    assert ended == [0]
    assert (await outcomes(runtime))[-1] == "successful"


@asynccontextmanager
async def running_job(runtime: Runtime, work: Any, **options: Any) -> AsyncIterator[Worker]:
    """A worker that has begun a job."""
    began = asyncio.Event()

    async def begin(runtime: Runtime, job: Work) -> None:
        began.set()
        await work(runtime, job)

    await enqueue(runtime)
    async with running_jobs(runtime, [Job(Work, begin, **options)]) as worker:
        await asyncio.wait_for(began.wait(), 10)
        yield worker


async def test_a_job_that_is_not_over_in_time_is_queued_again_without_losing_an_attempt(runtime):
    async def work(runtime: Runtime, job: Work) -> None:
        await asyncio.sleep(60)

    async with running_job(runtime, work) as worker:
        worker.stop_at_once()

    left = await rows(runtime, "SELECT status, attempts FROM pgqueuer")
    assert [(row.status, row.attempts) for row in left] == [("queued", 0)]


async def test_a_job_whose_worker_died_runs_again_and_an_attempt_is_counted(runtime):
    await enqueue(runtime)
    await rows_changed(
        runtime,
        "UPDATE pgqueuer SET status = 'picked', queue_manager_id = gen_random_uuid(), "
        "heartbeat = now() - interval '1 hour'",
    )
    attempts: list[int] = []

    async def work(runtime: Runtime, job: Work) -> None:
        attempts.extend(row.attempts for row in await rows(runtime, "TABLE pgqueuer"))

    async with running_jobs(runtime, [Job(Work, work)]):
        await until_none(runtime)

    assert attempts == [1]


async def test_a_job_that_kills_its_worker_each_time_is_given_up(runtime):
    await enqueue(runtime)
    await rows_changed(
        runtime,
        "UPDATE pgqueuer SET status = 'picked', queue_manager_id = gen_random_uuid(), "
        "attempts = 2, heartbeat = now() - interval '1 hour'",
    )
    handler = Recorder()

    async with running_jobs(runtime, [Job(Work, handler, attempts=3)]):
        await until_decided(runtime)

    assert handler.done == []
    assert (await outcomes(runtime))[-1] == "failed"


async def test_a_scheduled_job_is_enqueued_once_by_several_workers(runtime):
    handler = Recorder()
    jobs = [Job(Work, handler, cron="* * * * *")]
    await rows_changed(runtime, "TRUNCATE pgqueuer_schedules")
    await rows_changed(
        runtime,
        "INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run) "
        "VALUES ('* * * * *', 'work', now() - interval '1 minute')",
    )

    async with running_jobs(runtime, jobs), running_jobs(runtime, jobs):
        await until(lambda: handler.done)
        await until_none(runtime)

    picked = await rows(runtime, "SELECT count(*) AS n FROM pgqueuer_log WHERE status = 'queued'")
    assert picked[0].n == 1


async def test_health_files_that_cannot_be_touched_stop_no_worker(runtime, tmp_path, logged):
    folder = tmp_path / "health"
    folder.write_text("in the way")

    touching = asyncio.create_task(touch_health_files(folder, runtime.health))
    await until(lambda: "health_file_not_touched" in {line["event"] for line in logged()})
    folder.unlink()
    await until(lambda: (folder / "live").exists() and (folder / "ready").exists())

    assert not touching.done()
    touching.cancel()


async def test_pauses_between_attempts_grow_up_to_a_limit_and_differ(runtime):
    driver = WorkerDriver(runtime.engine, is_pooled=False)
    executor = JobExecutor(Job(Work, Recorder(), first_delay=4, max_delay=100), runtime, driver)

    pauses = [[executor.backoff(attempts) for _ in range(100)] for attempts in range(1, 9)]

    assert all(len(set(each)) > 50 for each in pauses)
    assert 2 <= min(pauses[0]) < max(pauses[0]) <= 6
    assert 8 <= min(pauses[2]) < max(pauses[2]) <= 24
    assert 50 <= min(pauses[7]) < max(pauses[7]) <= 150

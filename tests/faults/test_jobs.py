"""R16: background jobs while workers are killed and PostgreSQL restarts."""

import asyncio
import signal
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.config.jobs import JobsSettings
from app.core.jobs import JobPayload
from app.repositories.background.jobs import JobQueue
from app.runtime import Runtime
from app.schemas.access.session import Principal
from app.schemas.background.jobs import PurgeSessions
from app.schemas.user import UserSchema
from app.worker.job import Job
from app.worker.worker import running_jobs
from tests.conftest import PASSWORD, running
from tests.databases import new_database
from tests.faults.conftest import Postgres, Site
from tests.faults.job_kills import run
from tests.polling import within_async
from tests.process import instance, worker

KILLS = 12
"""`python -m tests.faults --kills 200` has more."""


class Work(JobPayload):
    kind = "work"
    number: int = 0


async def enqueue(runtime: Runtime, payload: JobPayload) -> None:
    async with runtime.session_maker() as db:
        await JobQueue(db).enqueue(payload)
        await db.commit()


async def statuses(runtime: Runtime) -> list[str]:
    async with runtime.engine.connect() as connection:
        query = "SELECT status::text FROM pgqueuer_log ORDER BY id"
        return list(await connection.scalars(text(query)))


@pytest.mark.direct
async def test_r16_no_job_or_mail_is_lost_or_runs_without_its_commit_whatever_is_killed(
    postgres, record
):
    async def crash() -> None:
        await postgres.stop(signal.SIGQUIT)
        await postgres.start()

    async with new_database(postgres.url) as url:
        outcome = await run(url, KILLS, crash)

    record("R16", "workers killed at random, PostgreSQL crashed once", str(outcome))
    assert outcome.jobs.lost == outcome.jobs.unasked == set()
    assert outcome.mails.lost == outcome.mails.unasked == set()
    assert len(outcome.jobs.committed) > 50
    assert len(outcome.mails.committed) > 10
    by_kill, unexplained = outcome.mails.again()
    assert unexplained == []
    assert max(by_kill.values(), default=0) <= JobsSettings().concurrency


@pytest.fixture
async def worked(site: Site) -> Runtime:
    """The runtime of a site whose queue is empty and is looked at rarely."""
    runtime = site.runtime
    async with runtime.engine.begin() as connection:
        await connection.execute(text("TRUNCATE pgqueuer, pgqueuer_log"))
    jobs = runtime.settings.jobs.model_copy(update={"poll": 60.0})
    settings = runtime.settings.model_copy(update={"jobs": jobs})
    return Runtime(**{f: getattr(runtime, f) for f in Runtime.__slots__} | {"settings": settings})


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
async def test_r16_a_job_that_runs_while_postgresql_restarts_is_done_once(
    worked: Runtime, postgres: Postgres, how: signal.Signals
):
    began, ended = asyncio.Event(), asyncio.Event()
    runs: list[int] = []

    async def work(runtime: Runtime, job: Work) -> None:
        runs.append(job.number)
        began.set()
        await ended.wait()

    await enqueue(worked, Work())
    async with running_jobs(worked, [Job(Work, work)]):
        await asyncio.wait_for(began.wait(), 10)
        await postgres.stop(how)
        ended.set()
        await asyncio.sleep(1)
        await postgres.start()

        async def is_done() -> bool:
            return (await statuses(worked))[-1] == "successful"

        assert await within_async(10, is_done)
        await asyncio.sleep(0.5)

    assert runs == [0]


@pytest.mark.direct
async def test_r16_notifications_arrive_again_after_a_restart(
    worked: Runtime, postgres: Postgres, record: Any
):
    done: list[float] = []
    loop = asyncio.get_running_loop()

    async def work(runtime: Runtime, job: Work) -> None:
        done.append(loop.time())

    async def is_done() -> bool:
        return bool(done)

    async with running_jobs(worked, [Job(Work, work)]):
        await enqueue(worked, Work())
        assert await within_async(10, is_done)
        await postgres.stop(signal.SIGQUIT)
        await postgres.start()
        await asyncio.sleep(5)  # it listens again within three
        done.clear()
        began = loop.time()
        await enqueue(worked, Work())
        assert await within_async(5, is_done)

    record("R16", "a job after PostgreSQL came back", f"run {done[0] - began:.2f} s after it")


async def has_done(runtime: Runtime, seconds: float = 30) -> bool:
    async def is_done() -> bool:
        return "successful" in await statuses(runtime)

    return await within_async(seconds, is_done)


async def test_r16_a_worker_that_is_told_to_stop_ends_in_order(servers, client, runtime, tmp_path):
    await enqueue(runtime, PurgeSessions())

    with worker(servers, tmp_path) as process:
        assert await has_done(runtime)
        process.send_signal(signal.SIGTERM)
        code = process.wait(10)

    log = (tmp_path / "worker.log").read_text()
    assert code == 0, log
    assert "worker_stopped" in log
    assert '"kind":"purge-sessions"' in log
    assert "Traceback" not in log


async def test_r16_an_import_whose_worker_was_killed_creates_each_user_once(
    servers, runtime, root, tmp_path
):
    admin = Principal(
        session_id=uuid4(), user=UserSchema.model_validate((await root.get("/users/me")).json())
    )
    rows = "".join(f"person{n}@example.com,{PASSWORD}\n" for n in range(200))
    content = f"email,password\n{rows}".encode()
    async with runtime.session_maker() as db:
        transfers = runtime.transfer_service(db)
        place = await transfers.begin_import("people.csv", content, 200, admin)

    async def progress() -> tuple[Any, ...]:
        query = "SELECT outcome, run, done FROM transfers"
        async with runtime.engine.connect() as connection:
            return tuple((await connection.execute(text(query))).one())

    async def is_halfway() -> bool:
        return bool((await progress())[2] >= 40)

    async def is_over() -> bool:
        return (await progress())[0] is not None

    with worker(servers, tmp_path, JOBS_LOST_AFTER="1") as process:
        assert await within_async(60, is_halfway)
        process.kill()
    between = await progress()
    with worker(servers, tmp_path, JOBS_LOST_AFTER="1"):
        assert await within_async(90, is_over)
    async with runtime.session_maker() as db:
        await runtime.user_import_run(db).run(place)  # and once more

    async with runtime.engine.connect() as connection:
        query = "SELECT count(*) FROM users WHERE email LIKE 'person%'"
        count = await connection.scalar(text(query))
    assert between[:2] == (None, 1)
    assert await progress() == ("done", 2, 200)
    assert count == 200


async def test_r16_a_worker_stops_though_the_database_is_away(
    servers, settings, tmp_path, postgres
):
    database = {"url": SecretStr(postgres.url)}
    async with running(settings.replaced(database=database)):  # which makes the schema
        away = type(servers)(postgres.url, servers.redis, postgres.url)
        with worker(away, tmp_path, JOBS_DRAIN="1", DATABASE_POOLER="none") as process:
            log = tmp_path / "worker.log"

            async def has_started() -> bool:
                return "worker_started" in log.read_text()

            assert await within_async(30, has_started)
            await postgres.stop(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            code = await asyncio.to_thread(process.wait, 20)
            await postgres.start()

    assert code == 0, log.read_text()


async def test_r16_the_web_process_runs_jobs_where_it_is_told_to(settings, client, runtime):
    async with running(settings.replaced(jobs={"in_process": True})):
        await enqueue(runtime, PurgeSessions())

        assert await has_done(runtime)


async def test_r16_a_web_process_that_runs_jobs_stops_in_time(servers, client, runtime, tmp_path):
    with instance(servers, tmp_path, JOBS_IN_PROCESS="true") as site:
        await enqueue(runtime, PurgeSessions())
        assert await has_done(runtime)

        assert site.stop() in {0, -signal.SIGTERM}

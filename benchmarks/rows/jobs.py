"""P13 and P14: what enqueueing costs a change, and how soon and how fast jobs are run."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.jobs import JobPayload
from app.core.logging import configure_logging
from app.database import get_session_maker
from app.repositories.jobs import JobQueue
from app.repositories.user.repository import UserRepository
from app.runtime import Runtime, open_runtime
from app.services.base import BaseService
from app.worker.job import Job
from app.worker.worker import running_jobs
from benchmarks.instance import fill, servers, settings_for
from benchmarks.report import Figure
from tests.databases import engine_of
from tests.tcp_proxy import TcpProxy, proxied

USERS, CHANGES = 1_000, 300
SINGLE, PAUSE = 50, 0.2
MANY = 3_000


class Nothing(JobPayload):
    kind = "nothing"


async def do_nothing(_: Runtime, __: Nothing) -> None:
    """The work of a job whose own cost is measured."""


class Renaming(BaseService):
    """A change as services make it: a row read under a lock, written, and committed."""

    async def rename(self, user_id: int, *, with_job: bool) -> None:
        async with self.transaction():
            user = await UserRepository(self.db).get_or_raise(user_id, lock=True)
            user.full_name = uuid4().hex
            await self.db.flush()
            if with_job:
                await JobQueue(self.db).enqueue(Nothing())


@dataclass
class Changes:
    """For each run: milliseconds of a change alone and with a job, and its further round trips."""

    alone: list[float] = field(default_factory=list)
    with_job: list[float] = field(default_factory=list)
    round_trips: list[float] = field(default_factory=list)


async def _change(url: str, runs: int) -> Changes:
    changes = Changes()
    async with (
        proxied(url) as proxy,
        engine_of(settings_for(url).database) as direct,
        engine_of(settings_for(proxy.url).database) as counted,
        get_session_maker(direct)() as db,
        get_session_maker(counted)() as other,
    ):
        for run in range(runs + 1):
            alone, with_job = await _time(db, with_job=False), await _time(db, with_job=True)
            further = await _trips(proxy, other, with_job=True) - await _trips(
                proxy, other, with_job=False
            )
            if run:
                changes.alone.append(alone)
                changes.with_job.append(with_job)
                changes.round_trips.append(further)
    return changes


async def _time(db: AsyncSession, *, with_job: bool) -> float:
    service = Renaming(db)
    began = time.perf_counter()
    for user_id in range(1, CHANGES + 1):
        await service.rename(user_id, with_job=with_job)
    return (time.perf_counter() - began) * 1000 / CHANGES


async def _trips(proxy: TcpProxy, db: AsyncSession, *, with_job: bool) -> int:
    """Of a change whose statements are prepared."""
    service = Renaming(db)
    await service.rename(1, with_job=with_job)
    before = proxy.round_trips
    await service.rename(2, with_job=with_job)
    return proxy.round_trips - before


async def _run(settings: Settings, runs: int) -> tuple[list[float], list[float]]:
    """For each run: the 95th percentile from enqueued to done in milliseconds, by the database's
    clock, and jobs a second of one worker."""
    configure_logging(settings)
    soon, fast = [], []
    async with open_runtime(settings) as runtime:
        for _ in range(runs):
            await _execute(runtime, "TRUNCATE pgqueuer, pgqueuer_log")
            async with running_jobs(runtime, [Job(Nothing, do_nothing)]):
                await asyncio.sleep(1)
                for _ in range(SINGLE):
                    await _enqueue(runtime, 1)
                    await asyncio.sleep(PAUSE)
                await _until_done(runtime)
            soon.append(await _value(runtime, _PERCENTILE))
            await _execute(runtime, "TRUNCATE pgqueuer, pgqueuer_log")
            await _enqueue(runtime, MANY)
            async with running_jobs(runtime, [Job(Nothing, do_nothing)]):
                await _until_done(runtime)
            fast.append(MANY / await _value(runtime, _SPAN))
    return soon, fast


_PERCENTILE = """
    SELECT 1000 * percentile_cont(0.95) WITHIN GROUP (
        ORDER BY extract(epoch FROM done.created - queued.created)
    )
    FROM pgqueuer_log AS done JOIN pgqueuer_log AS queued USING (job_id)
    WHERE done.status = 'successful' AND queued.status = 'queued'
"""
_SPAN = """
    SELECT extract(epoch FROM max(created) - min(created)) FROM pgqueuer_log
    WHERE status IN ('picked', 'successful')
"""


async def _enqueue(runtime: Runtime, count: int) -> None:
    async with runtime.session_maker() as db:
        await JobQueue(db).enqueue_all([Nothing()] * count, delay=timedelta(0))
        await db.commit()


async def _until_done(runtime: Runtime) -> None:
    while await _value(runtime, "SELECT count(*) FROM pgqueuer"):  # noqa: ASYNC110  # nothing tells
        await asyncio.sleep(0.1)


async def _value(runtime: Runtime, query: str) -> float:
    async with runtime.engine.connect() as connection:
        return float(await connection.scalar(text(query)) or 0)


async def _execute(runtime: Runtime, statement: str) -> None:
    async with runtime.engine.begin() as connection:
        await connection.execute(text(statement))


def measure_enqueueing(runs: int) -> Iterator[Figure]:
    with servers() as own:
        changes = asyncio.run(_change(fill(own, USERS), runs))
    ratios = [job / alone for job, alone in zip(changes.with_job, changes.alone, strict=True)]
    yield Figure("P13", "a change alone", changes.alone, "ms")
    yield Figure("P13", "a change with a job, by one alone", ratios, most=1.4)
    yield Figure("P13", "its further round trips", changes.round_trips, most=1)


def measure_running(runs: int) -> Iterator[Figure]:
    with servers() as own:
        settings = settings_for(fill(own, USERS)).replaced(
            auth={"secret_key": SecretStr("a secret that lives for a benchmark")},
            cache={"enabled": False},
            limiter={"enabled": False},
        )
        soon, fast = asyncio.run(_run(settings, runs))
    yield Figure("P14", "enqueued to done, p95", soon, "ms", most=250)
    yield Figure("P14", "jobs a second of one worker", fast, least=300)

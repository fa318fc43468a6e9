"""P13 and P14: what an audit event and a mail job cost a change, and how soon and how fast jobs are
run."""

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
from app.repositories.background.jobs import JobQueue
from app.repositories.user.repository import UserRepository
from app.runtime import Runtime, open_runtime
from app.schemas.audit import Action
from app.schemas.background.mail import SendMail
from app.services.audit.redaction import state_of, target_of
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

    async def rename(self, user_id: int, *, is_told: bool) -> None:
        """With `is_told`, the change is recorded in the audit trail and mailed to the user."""
        async with self.transaction():
            user = await UserRepository(self.db).get_or_raise(user_id, lock=True)
            before = state_of(user) if is_told else {}
            user.full_name = uuid4().hex
            await self.db.flush()
            if is_told:
                after = state_of(user)
                target = target_of(user)
                self.audit.record(Action.USER_UPDATED, target, before=before, after=after)
                mail = SendMail(mail="password-changed", id=uuid4(), user_id=user.id)
                await JobQueue(self.db).enqueue(mail)


@dataclass
class Changes:
    """For each run: milliseconds of a change alone, and with an event and a mail, and the round
    trips that it then has more."""

    alone: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
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
            alone, told = await _time(db, is_told=False), await _time(db, is_told=True)
            further = await _trips(proxy, other, is_told=True) - await _trips(
                proxy, other, is_told=False
            )
            if run:
                changes.alone.append(alone)
                changes.told.append(told)
                changes.round_trips.append(further)
    return changes


async def _time(db: AsyncSession, *, is_told: bool) -> float:
    service = Renaming(db)
    began = time.perf_counter()
    for user_id in range(1, CHANGES + 1):
        await service.rename(user_id, is_told=is_told)
    return (time.perf_counter() - began) * 1000 / CHANGES


async def _trips(proxy: TcpProxy, db: AsyncSession, *, is_told: bool) -> int:
    """Of a change whose statements are prepared."""
    service = Renaming(db)
    await service.rename(1, is_told=is_told)
    before = proxy.round_trips
    await service.rename(2, is_told=is_told)
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
    ratios = [job / alone for job, alone in zip(changes.told, changes.alone, strict=True)]
    yield Figure("P13", "a change alone", changes.alone, "ms")
    yield Figure("P13", "a change with an audit event and a mail, by one alone", ratios, most=1.4)
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

"""R16: workers killed at random moments while jobs are enqueued, committed or rolled back."""

import asyncio
import multiprocessing
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess

import asyncpg
from pydantic import SecretStr
from sqlalchemy import text

from app.core.config import Settings, load_settings
from app.core.jobs import JobPayload
from app.database import close_engine, get_engine, get_session_maker
from app.database.migrations import migrate
from app.repositories.background.jobs import JobQueue
from app.runtime import Runtime, open_runtime
from app.worker.job import Job
from app.worker.worker import Worker

WORKERS = 2
LOST_AFTER = 1.0
PATIENCE = 60.0
"""Seconds in which all jobs have to be done once no worker is killed any more."""
TABLES = "CREATE TABLE committed (number int); CREATE TABLE done (number int)"
# Of all kinds of moments: many end at once, some take longer than a worker lives.
DURATIONS = (0.0, 0.001, 0.01, 0.1, 0.5)

Interruption = Callable[[], Awaitable[None]]


class Mark(JobPayload):
    kind = "mark"
    number: int


async def mark(runtime: Runtime, job: Mark) -> None:
    await asyncio.sleep(random.choice(DURATIONS))
    async with runtime.session_maker() as db:
        await db.execute(text("INSERT INTO done VALUES (:number)"), {"number": job.number})
        await db.commit()


# A worker may be killed any number of times here, and no job may be given up for it.
MARK = Job(Mark, mark, concurrency=15, attempts=1_000_000, first_delay=0.1, max_delay=0.5)


def settings_of(url: str) -> Settings:
    return load_settings().replaced(
        database={"url": SecretStr(url), "pooler": "none", "migration_url": None},
        cache={"enabled": False},
        limiter={"enabled": False},
        auth={"secret_key": SecretStr("a secret that is only used in the tests")},
        jobs={"lost_after": LOST_AFTER, "poll": 0.5},
    )


def work(url: str) -> None:
    """The process of a worker."""

    async def run() -> None:
        async with open_runtime(settings_of(url)) as runtime:
            await Worker(runtime, [MARK]).run()

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # its log
    asyncio.run(run())


@dataclass
class Outcome:
    """What was seen: numbers of jobs whose transaction was committed, and of jobs that ran."""

    kills: int
    committed: set[int]
    runs: list[int]

    @property
    def lost(self) -> set[int]:
        return self.committed - set(self.runs)

    @property
    def unasked(self) -> set[int]:
        """Ran though their transaction was rolled back."""
        return set(self.runs) - self.committed

    def __str__(self) -> str:
        repeated = len(self.runs) - len(set(self.runs))
        return (
            f"{self.kills} kills, {len(self.committed)} jobs committed: {len(self.lost)} lost, "
            f"{len(self.unasked)} without their commit, {repeated} run again"
        )


class Killing:
    """Workers that are killed and replaced.

    Args:
        url: of a database of its own.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._spawner = multiprocessing.get_context("forkserver")
        self._spawner.set_forkserver_preload(["tests.faults.job_kills"])
        self._workers: list[ForkServerProcess] = []

    def start(self) -> None:
        while len(self._workers) < WORKERS:
            worker = self._spawner.Process(target=work, args=(self._url,), daemon=True)
            worker.start()
            self._workers.append(worker)

    def kill_one(self) -> None:
        victim = self._workers.pop(random.randrange(len(self._workers)))
        victim.kill()
        victim.join()
        self.start()

    def end(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.join()


async def run(url: str, kills: int, interrupt: Interruption | None = None) -> Outcome:
    """Enqueue jobs, and kill workers that run them; then let all jobs end.

    Args:
        url: of an empty database.
        kills: how many.
        interrupt: awaited once, after half of the kills.
    """
    engine = get_engine(settings_of(url).database)
    await migrate(engine)
    async with engine.begin() as connection:
        for statement in TABLES.split(";"):
            await connection.execute(text(statement))
    killing = Killing(url)
    killing.start()
    try:
        async with _enqueuing(url):
            for kill in range(kills):
                await asyncio.sleep(random.uniform(0.2, 1.2))
                killing.kill_one()
                if interrupt is not None and kill == kills // 2:
                    await interrupt()
        committed = set(await _numbers(url, "committed"))
        async with asyncio.timeout(PATIENCE):
            while committed - set(await _numbers(url, "done")):  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.2)
    except TimeoutError:
        committed = set(await _numbers(url, "committed"))
    finally:
        killing.end()
        await close_engine(engine)
    return Outcome(kills, committed, await _numbers(url, "done"))


async def _numbers(url: str, table: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        return [row["number"] for row in await connection.fetch(f"TABLE {table}")]
    finally:
        await connection.close()


@asynccontextmanager
async def _enqueuing(url: str) -> AsyncIterator[None]:
    """Transactions that enqueue a job each, of which a third is rolled back."""
    engine = get_engine(settings_of(url).database)
    session_maker = get_session_maker(engine)
    number = 0

    async def enqueue() -> None:
        nonlocal number
        number += 1
        async with session_maker() as db:
            await db.execute(text("INSERT INTO committed VALUES (:number)"), {"number": number})
            await JobQueue(db).enqueue(Mark(number=number))
            if random.random() < 1 / 3:
                await db.rollback()
            else:
                await db.commit()

    async def keep_on() -> None:
        while True:
            await asyncio.gather(enqueue(), return_exceptions=True)  # the database may be away
            await asyncio.sleep(0.01)

    task = asyncio.create_task(keep_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        await close_engine(engine)

"""Job worker: takes jobs from the queue and runs them, until it is stopped."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import structlog
from pgqueuer.applications import PgQueuer
from pgqueuer.domain.models import Schedule
from pgqueuer.queries import Queries
from sqlalchemy.exc import SQLAlchemyError

from app.core.exceptions import AppException
from app.database import close_engine, get_engine
from app.database.queue import WorkerDriver
from app.database.schema_state import schema_of
from app.runtime import Runtime
from app.worker.executor import JobExecutor
from app.worker.job import Job
from app.worker.registry import JOBS

log = structlog.get_logger("app.jobs")

MAX_FETCHED = 10
"""Jobs that are taken from the queue at once, at most."""
QUEUE_CONNECTIONS = 3
"""Connections to the database besides those that the jobs use: one listens."""
RESTART_DELAY = 2.0
"""Seconds before it begins anew, after an error that it did not foresee."""
RECORDING_TIMEOUT = 5.0
"""Seconds that recording the last jobs may take, after the jobs were given back."""
# Every failed attempt is logged by the executor, with its cause; pgqueuer would log it again.
logging.getLogger("pgqueuer").addFilter(lambda record: "entrypoint/job-id" not in str(record.msg))


class Worker:
    """Runs jobs in this process.

    Args:
        runtime: the process's.
        jobs: the kinds that it runs; others are left in the queue.
    """

    def __init__(self, runtime: Runtime, jobs: Sequence[Job[Any]] = JOBS) -> None:
        self._runtime = runtime
        self._jobs = jobs
        self._settings = runtime.settings.jobs
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Take no further jobs, and give those back that still run after `JOBS_DRAIN`."""
        self._stopping.set()

    def stop_at_once(self) -> None:
        """Take no further jobs, and give those back that still run."""
        self._hurried.set()
        self._stopping.set()

    async def run(self) -> None:
        """Run jobs until `stop`."""
        engine = get_engine(
            self._runtime.settings.database, pool_size=2, max_overflow=QUEUE_CONNECTIONS - 2
        )
        presence = asyncio.create_task(self._runtime.operations.workers.report())
        try:
            while not self._stopping.is_set():
                try:
                    if (await schema_of(engine)).serves:
                        await self._run_on(engine)
                    else:
                        log.warning("jobs_wait", reason="the schema is behind: backend migrate")
                except (AppException, SQLAlchemyError, OSError) as error:
                    log.warning("jobs_wait", reason=repr(error))
                except Exception:
                    log.exception("worker_failed")
                await _until(self._stopping, RESTART_DELAY)
        finally:
            presence.cancel()
            await asyncio.wait([presence])
            await close_engine(engine)

    async def _run_on(self, engine: Any) -> None:
        settings = self._settings
        driver = WorkerDriver(engine, is_pooled=self._runtime.settings.database.is_pooled)
        queue = PgQueuer(driver)
        executors = [JobExecutor(job, self._runtime, driver) for job in self._jobs]
        for job, executor in zip(self._jobs, executors, strict=True):
            queue.qm.register_executor(job.kind, executor)
            if job.cron is not None:
                queue.schedule(job.kind, job.cron)(_enqueuing(job, driver))
        stopping = asyncio.create_task(self._stop(queue, executors, driver))
        try:
            await queue.run(
                dequeue_timeout=timedelta(seconds=settings.poll),
                batch_size=max(1, min(MAX_FETCHED, settings.concurrency // 2)),
                max_concurrent_tasks=settings.concurrency,
                heartbeat_timeout=timedelta(seconds=settings.lost_after),
            )
        finally:
            stopping.cancel()
            await driver.close()

    async def _stop(
        self, queue: PgQueuer, executors: Sequence[JobExecutor], driver: WorkerDriver
    ) -> None:
        await self._stopping.wait()
        log.info("jobs_draining", seconds=self._settings.drain)
        queue.shutdown.set()
        await _until(self._hurried, self._settings.drain)
        for executor in executors:
            executor.give_back()
        await asyncio.sleep(RECORDING_TIMEOUT)
        driver.give_up()


def _enqueuing(job: Job[Any], driver: WorkerDriver) -> Any:
    """What the schedule does: it enqueues, so that the job is retried and seen as any other."""

    async def enqueue(_: Schedule) -> None:
        payload = job.payload().model_dump_json().encode()
        key = f"cron:{job.kind}"
        await Queries(driver).enqueue(job.kind, payload, dedupe_key=key, on_conflict="skip")

    return enqueue


async def _until(event: asyncio.Event, seconds: float) -> None:
    """Wait for `event`, at most `seconds`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


@asynccontextmanager
async def running_jobs(runtime: Runtime, jobs: Sequence[Job[Any]] = JOBS) -> AsyncIterator[Worker]:
    """Run jobs while the block runs."""
    worker = Worker(runtime, jobs)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await task

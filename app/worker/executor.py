"""Execution of one job: attempts, backoff, timeout, and the record of a failure."""

import random
from datetime import timedelta
from time import perf_counter
from typing import Any

import anyio
import anyio.lowlevel
import structlog
from asgi_correlation_id import correlation_id
from pgqueuer.core.executors import AbstractEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Context
from pgqueuer.domain.models import Job as QueuedJob

from app.core.jobs import JobGivenUp, JobPostponed
from app.core.origin import Origin, acting_as
from app.database.queue import WorkerDriver
from app.runtime import Runtime
from app.worker.job import Job

log = structlog.get_logger("app.jobs")

MAX_REASON = 500
"""Characters of an error that are stored and shown."""
_UNCOUNT = "UPDATE pgqueuer SET attempts = attempts - 1 WHERE id = $1"


class JobExecutor(AbstractEntrypointExecutor):
    """Runs the jobs of one kind, for pgqueuer.

    Args:
        job: the kind.
        runtime: given to the handler.
        driver: the worker's.
    """

    def __init__(self, job: Job[Any], runtime: Runtime, driver: WorkerDriver) -> None:
        super().__init__(
            EntrypointExecutorParameters(
                func=self.execute, concurrency_limit=job.concurrency, on_failure="hold"
            )
        )
        self._job = job
        self._runtime = runtime
        self._driver = driver
        self._running: set[anyio.CancelScope] = set()
        self._gives_back = False

    def give_back(self) -> None:
        """Cancel the running jobs, and queue them again, as those that are about to begin."""
        self._gives_back = True
        for scope in self._running:
            scope.cancel()

    async def execute(self, queued: QueuedJob, context: Context) -> None:
        """
        Raises:
            RetryRequested: to be run again.
            JobGivenUp: it has failed.
        """
        correlation_id.set(str((queued.headers or {}).get("request_id", "")) or None)
        began = perf_counter()
        outcome = "failed"
        try:
            outcome = await self._attempt(queued, context)
        except RetryRequested:
            outcome = "retried"
            raise
        finally:
            log.info(
                "job",
                kind=queued.entrypoint,
                job=queued.id,
                attempt=queued.attempts + 1,
                outcome=outcome,
                duration_ms=round(1000 * (perf_counter() - began), 1),
            )

    async def _attempt(self, queued: QueuedJob, context: Context) -> str:
        if queued.attempts >= self._job.attempts:
            raise JobGivenUp("its worker ended without a sign of life, at every attempt")
        try:
            return await self._run(queued, context)
        except RetryRequested:
            raise
        except Exception as error:
            log.warning("job_attempt_failed", kind=queued.entrypoint, job=queued.id, exc_info=error)
            failure = self._failure(error, queued.attempts + 1)
        # Outside the block: the traceback of what is raised is stored, with all it was caused by.
        raise failure

    async def _run(self, queued: QueuedJob, context: Context) -> str:
        with context.cancellation, anyio.CancelScope() as scope:
            if self._gives_back:
                scope.cancel()
            self._running.add(scope)
            try:
                await anyio.lowlevel.checkpoint()
                payload = self._job.payload.model_validate_json(queued.payload or b"{}")
                origin = Origin("job", queued.entrypoint, f"job {queued.id}")
                with anyio.fail_after(self._job.timeout), acting_as(origin):
                    await self._job.handler(self._runtime, payload)
            finally:
                self._running.discard(scope)
        if scope.cancelled_caught:
            await self._driver.execute(_UNCOUNT, queued.id)  # a stop is no attempt
            raise RetryRequested(reason="the worker stopped")
        return "cancelled" if context.cancellation.cancelled_caught else "done"

    def _failure(self, error: Exception, attempts: int) -> Exception:
        """What tells pgqueuer to hold the job as failed, or to run it again."""
        reason = f"{type(error).__name__}: {error}"[:MAX_REASON].rstrip(": ")
        if isinstance(error, JobGivenUp) or attempts >= self._job.attempts:
            return JobGivenUp(reason)
        if isinstance(error, JobPostponed):
            return RetryRequested(error.delay, reason)
        return RetryRequested(timedelta(seconds=self.backoff(attempts)), reason)

    def backoff(self, attempts: int) -> float:
        """Seconds until the next attempt, after `attempts` have failed."""
        delay = min(self._job.first_delay * 2.0 ** (attempts - 1), self._job.max_delay)
        return delay * random.uniform(0.5, 1.5)  # noqa: S311  # no secret

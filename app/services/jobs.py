"""`JobService`: lists of background jobs, retries, cancellations, and their history."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import NotFoundException
from app.repositories.background.job_list import JobListRepository
from app.repositories.background.job_retention import JobRetentionRepository
from app.schemas.audit import Action, Target
from app.schemas.background.job_list import JobChange, JobDetail, JobFilters, JobPage, JobSummary
from app.services.base import BaseService

log = structlog.get_logger("app.jobs")


class JobService(BaseService):
    """Background jobs, as an administrator sees them."""

    def __init__(self, db: AsyncSession) -> None:
        super().__init__(db)
        self.retention = JobRetentionRepository(db)
        self.jobs = JobListRepository(db)

    async def page(self, filters: JobFilters, size: int) -> JobPage:
        """A page of the jobs of a state, the newest first."""
        offset = (filters.page - 1) * size
        rows = await self.jobs.page(filters.state, filters.kind, size + 1, offset)
        kinds = {*await self.jobs.kinds(), *(row.kind for row in rows)}
        return JobPage(
            items=[JobSummary.model_validate(row) for row in rows[:size]],
            has_next=len(rows) > size,
            kinds=sorted(kinds | ({filters.kind} if filters.kind else set())),
        )

    async def get(self, job_id: int) -> JobDetail:
        """A job, also one that is over, as long as its history is kept.

        Raises:
            NotFoundException: there is no such job.
        """
        row = await self.jobs.find(job_id)
        if row is None:
            raise NotFoundException("Job not found")
        payload = await self.jobs.payload(job_id)
        history = await self.jobs.history(job_id)
        return JobDetail(
            summary=JobSummary.model_validate(row),
            payload=None if payload is None else payload.decode(errors="replace"),
            history=[JobChange.model_validate(change) for change in history],
        )

    async def existing(self, ids: Sequence[int]) -> list[JobSummary]:
        """The jobs with these ids that are not over."""
        return [JobSummary.model_validate(row) for row in await self.jobs.existing(ids)]

    async def retry(self, ids: Sequence[int]) -> list[JobSummary]:
        """Have jobs that failed, or are delayed, run at once; those that this changed."""
        async with self.transaction():
            jobs = [job for job in await self.existing(ids) if job.state in {"failed", "delayed"}]
            await self.jobs.retry([job.id for job in jobs])
            self._record(Action.JOB_RETRIED, jobs)
        log.info("jobs_retried", jobs=[job.id for job in jobs])
        return jobs

    async def cancel(self, ids: Sequence[int]) -> list[JobSummary]:
        """Delete jobs that are not over, and interrupt those that run; those that this changed."""
        async with self.transaction():
            jobs = await self.existing(ids)
            await self.jobs.cancel([job.id for job in jobs])
            self._record(Action.JOB_CANCELLED, jobs)
        log.info("jobs_cancelled", jobs=[job.id for job in jobs])
        return jobs

    def _record(self, action: Action, jobs: Sequence[JobSummary]) -> None:
        for job in jobs:
            self.audit.record(action, Target("job", job.id), after={"kind": job.kind})

    async def purge(self, keep: float) -> int:
        """Delete the history of jobs that ended more than `keep` seconds ago; the number of events.

        The counts by kind and outcome stay, without their times.
        """
        moment = datetime.now(UTC) - timedelta(seconds=keep)
        async with self.transaction():
            await self.retention.fold_counts()
        return await self.in_batches(lambda limit: self.retention.delete_before(moment, limit))

"""`JobRecordSummary`: the record of work that a job does, such as an import."""

from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel

from app.schemas.background.job_list import JobState, JobSummary

PICKED_WITHIN = timedelta(seconds=10)


class JobRecordSummary(BaseModel):
    """A record, as the pages show it; a subclass adds what its work is.

    Attributes:
        state: that of its job until it has ended itself.
        done: users who are done with so far, of `total`, which may be an estimate.
        reason: why it ended early, or its job's last attempt failed.
        is_over: whether it has ended: nothing will change any more.
        job: its job, until that is over.
    """

    id: UUID
    job_id: int
    state: JobState
    done: int
    total: int
    reason: str | None
    created_at: datetime
    ended_at: datetime | None
    is_over: bool
    job: JobSummary | None

    @classmethod
    def of(cls, row: Any, job: JobSummary | None) -> Self:
        """The summary of a row, which has these columns and `outcome`, None until it has ended."""
        state, reason = row.outcome, row.reason
        if state is None and job is not None:
            state, reason = job.state, job.reason
        elif state is None:
            reason = "Its job ended without a result: it was cancelled on the page of jobs, or lost"
            state = "failed"
        given = {"state": state, "reason": reason, "is_over": row.outcome is not None, "job": job}
        columns = cls.model_fields.keys() - given.keys()
        return cls.model_validate({name: getattr(row, name) for name in columns} | given)

    @property
    def waits_for_worker(self) -> bool:
        """Whether it has waited longer than a worker that is free takes to begin it."""
        if self.job is None or self.state != "waiting":
            return False
        return datetime.now(UTC) - self.job.moment > PICKED_WITHIN

"""Schemas of imports and exports that run as background jobs, and payloads of these jobs."""

from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from app.core.jobs import JobPayload
from app.schemas.background.job_list import JobState, JobSummary

PICKED_WITHIN = timedelta(seconds=10)

TransferKind = Literal["import", "export"]
TransferOutcome = Literal["done", "failed", "cancelled"]


class ImportUsers(JobPayload):
    """Create the users of a file that was uploaded."""

    kind = "import-users"
    transfer_id: UUID


class ExportUsers(JobPayload):
    """Write a list of users into a file, for a download."""

    kind = "export-users"
    transfer_id: UUID


class PurgeTransfers(JobPayload):
    """Delete imports and exports, with their files, a day after they were begun."""

    kind = "purge-transfers"


class TransferSummary(BaseModel):
    """An import or export, as the pages show it.

    Attributes:
        name: of the file.
        state: that of its job until it has ended itself.
        done: users hashed or written so far, of `total`, which may be an estimate.
        reason: why it failed, or its job's last attempt did.
        size: of the file to download, in bytes; None where there is none.
        is_over: whether it has ended: nothing will change any more.
        job: its job, until that is over.
    """

    id: UUID
    kind: TransferKind
    job_id: int
    name: str
    state: JobState
    done: int
    total: int
    reason: str | None
    size: int | None
    created_at: datetime
    ended_at: datetime | None
    is_over: bool
    job: JobSummary | None

    @property
    def waits_for_worker(self) -> bool:
        """Whether it has waited longer than a worker that is free takes to begin it."""
        if self.job is None or self.state != "waiting":
            return False
        return datetime.now(UTC) - self.job.moment > PICKED_WITHIN

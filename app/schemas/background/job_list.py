"""Schemas of the jobs that the admin pages show: filters, rows, history."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

JobState = Literal["waiting", "delayed", "running", "failed", "done", "cancelled"]
"""`delayed`: not due yet, or between two attempts. The last two are over."""
STATES: tuple[JobState, ...] = ("waiting", "delayed", "running", "failed", "done", "cancelled")


class JobFilters(BaseModel):
    """State, kind and page of the jobs to show."""

    state: JobState = "failed"
    kind: str | None = Field(None, max_length=100, pattern=r"^[\w-]+$")
    page: int = Field(1, ge=1, le=400)


class JobSummary(BaseModel):
    """A row of the table.

    Attributes:
        attempts: that have failed.
        moment: when it was enqueued, is due, began, failed or ended, as its state has it.
        reason: of the last failed attempt.
    """

    model_config = ConfigDict(from_attributes=True)

    id: int
    kind: str
    state: JobState
    attempts: int | None = None
    moment: datetime
    reason: str | None = None


class JobPage(BaseModel):
    """Jobs of one state, newest first; `kinds` are all that there are."""

    items: list[JobSummary]
    has_next: bool
    kinds: list[str]


class JobChange(BaseModel):
    """One line of a job's history."""

    model_config = ConfigDict(from_attributes=True)

    status: str
    created: datetime
    reason: str | None = None


class JobDetail(BaseModel):
    """A job and its history. `payload` is JSON text; None once the job is over."""

    summary: JobSummary
    payload: str | None
    history: list[JobChange]

"""Schemas of actions on many users that run as background jobs, and payloads of these jobs."""

from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from app.core.jobs import JobPayload
from app.core.permissions import Permission
from app.schemas.background.job_list import JobState, JobSummary

PICKED_WITHIN = timedelta(seconds=10)

UserAction = Literal["activate", "deactivate", "end_sessions", "reset_mfa", "delete"]
BulkOutcome = Literal["done", "failed", "cancelled"]

PERMISSION_FOR: dict[UserAction, Permission] = {
    "activate": Permission.USERS_UPDATE,
    "deactivate": Permission.USERS_UPDATE,
    "end_sessions": Permission.SESSIONS_END,
    "reset_mfa": Permission.USERS_UPDATE,
    "delete": Permission.USERS_DELETE,
}
"""What each action requires, besides `users:read`."""
OPPOSITE: dict[UserAction, UserAction] = {"activate": "deactivate", "deactivate": "activate"}
"""The actions that can be undone, each with the one that undoes it."""


class ApplyBulkAction(JobPayload):
    """Apply an action to many users."""

    kind = "apply-bulk-action"
    bulk_action_id: UUID


class PurgeBulkActions(JobPayload):
    """Delete the records of actions on many users, a week after they were begun."""

    kind = "purge-bulk-actions"


class Refusal(BaseModel):
    """A user who was not changed, and why. The username is None where the user is deleted."""

    model_config = ConfigDict(from_attributes=True)

    user_id: int
    username: str | None
    refusal: str


class BulkActionSummary(BaseModel):
    """An action on many users, as the pages show it.

    Attributes:
        user_id: of the admin who began it.
        state: that of its job until it has ended itself.
        done: users who were looked at so far, of `total`; `changed` and `refused` are among them.
        reason: why it ended early, or its job's last attempt failed.
        is_over: whether it has ended: nothing will change any more.
        job: its job, until that is over.
        undo_of: the action that this one undoes.
    """

    id: UUID
    user_id: int
    job_id: int
    action: UserAction
    state: JobState
    done: int
    total: int
    changed: int
    refused: int
    reason: str | None
    created_at: datetime
    ended_at: datetime | None
    is_over: bool
    job: JobSummary | None
    undo_of: UUID | None

    @property
    def opposite(self) -> UserAction | None:
        """The action that undoes it, where there is something to undo."""
        return OPPOSITE.get(self.action) if self.is_over and self.changed else None

    @property
    def waits_for_worker(self) -> bool:
        """Whether it has waited longer than a worker that is free takes to begin it."""
        if self.job is None or self.state != "waiting":
            return False
        return datetime.now(UTC) - self.job.moment > PICKED_WITHIN

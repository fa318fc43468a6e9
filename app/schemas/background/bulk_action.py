"""Schemas of actions on many users that run as background jobs, and payloads of these jobs."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from app.core.jobs import JobPayload
from app.core.permissions import Permission
from app.schemas.background.job_record import JobRecordSummary

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


class BulkActionSummary(JobRecordSummary):
    """An action on many users. Of the users who are done, some were `changed`, and some `refused`.

    Attributes:
        user_id: of the admin who began it.
        undo_of: the action that this one undoes.
    """

    user_id: int
    action: UserAction
    changed: int
    refused: int
    undo_of: UUID | None

    @property
    def opposite(self) -> UserAction | None:
        """The action that undoes it, where there is something to undo."""
        return OPPOSITE.get(self.action) if self.is_over and self.changed else None

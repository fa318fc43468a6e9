"""Schemas of audit events: actions, targets, filters and pages."""

import operator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, JsonValue, StringConstraints

from app.core.pagination import CursorPage
from app.schemas.base import Moment, ResponseSchema, RowId
from app.schemas.list_params import Filter, ListParams

Outcome = Literal["success", "failed", "refused"]


class Action(StrEnum):
    """What happened. The names are permanent: they are stored."""

    USER_CREATED = "user.created"
    USER_UPDATED = "user.updated"
    USER_ACTIVATED = "user.activated"
    USER_DEACTIVATED = "user.deactivated"
    USER_PROMOTED = "user.promoted"
    USER_DEMOTED = "user.demoted"
    USER_DELETED = "user.deleted"
    ROLES_ASSIGNED = "roles.assigned"
    ROLE_CREATED = "role.created"
    ROLE_UPDATED = "role.updated"
    ROLE_DELETED = "role.deleted"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105  # no password
    PASSWORD_LINK_ISSUED = "password.link_issued"  # noqa: S105  # the same
    EMAIL_VERIFIED = "email.verified"
    MFA_ADDED = "mfa.added"
    MFA_REMOVED = "mfa.removed"
    MFA_RESET = "mfa.reset"
    MFA_RESEALED = "mfa.resealed"
    RECOVERY_CODES_CREATED = "recovery_codes.created"
    CONFIRMED = "session.confirmed"
    DELETION_REQUESTED = "deletion.requested"
    DELETION_UNDONE = "deletion.undone"
    INVITATION_SENT = "invitation.sent"
    INVITATION_RESENT = "invitation.resent"
    INVITATION_REVOKED = "invitation.revoked"
    INVITATION_ACCEPTED = "invitation.accepted"
    SESSION_STARTED = "session.started"
    SESSION_ENDED = "session.ended"
    SESSIONS_ENDED = "sessions.ended"
    IMPERSONATION_STARTED = "impersonation.started"
    IMPERSONATION_ENDED = "impersonation.ended"
    SESSION_REUSED = "session.reused"
    LOGIN_FAILED = "login.failed"
    ACCESS_REFUSED = "access.refused"
    DATA_EXPORTED = "data.exported"
    RESOURCE_CREATED = "resource.created"
    RESOURCE_UPDATED = "resource.updated"
    RESOURCE_DELETED = "resource.deleted"
    USERS_SEEDED = "users.seeded"
    EXPORT_BEGUN = "export.begun"
    IMPORT_BEGUN = "import.begun"
    TRANSFER_CANCELLED = "transfer.cancelled"
    BULK_ACTION_BEGUN = "bulk_action.begun"
    BULK_ACTION_STOPPED = "bulk_action.stopped"
    JOB_RETRIED = "job.retried"
    JOB_CANCELLED = "job.cancelled"
    AUDIT_EXPIRED = "audit.expired"


class Target(NamedTuple):
    """What an action changed or reached for, stored as `user:5`."""

    kind: str
    id: object

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


class AuditEventSchema(ResponseSchema):
    """An event of the audit trail."""

    id: int = Field(examples=[4711])
    created_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])
    action: str = Field(examples=["user.updated"])
    outcome: Outcome = Field(examples=["success"])
    actor: str = Field(
        description="`user:`, `key:`, `command:` or `job:` with an id or name, or `anonymous`",
        examples=["user:1"],
    )
    actor_name: str | None = Field(description="at that time", examples=["ada"])
    impersonator_id: int | None = Field(
        description="the superuser who acted in the actor's name", examples=[None]
    )
    target: str | None = Field(description="kind and id", examples=["user:2"])
    user_id: int | None = Field(description="the user whose account it concerns", examples=[2])
    address: str | None = Field(description="IP address of the client", examples=["192.0.2.7"])
    request_id: str | None = Field(examples=["7d3f6b2a9c5e4f1d8a0b1c2d3e4f5a6b"])
    trace_id: str | None = Field(examples=[None])
    count: int = Field(
        description="how many equal refusals of a minute this event stands for", examples=[1]
    )
    before: dict[str, JsonValue] | None = Field(
        description="what was changed, as it was; secrets are left out",
        examples=[{"full_name": "Ada Byron"}],
    )
    after: dict[str, JsonValue] | None = Field(
        description="what was changed, as it is since; or facts of the event",
        examples=[{"full_name": "Ada Lovelace"}],
    )


class OwnEventSchema(ResponseSchema):
    """An event that concerns your account."""

    id: int = Field(examples=[4711])
    created_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])
    action: str = Field(examples=["session.started"])
    outcome: Outcome = Field(examples=["success"])
    is_own: bool = Field(False, description="whether you did it yourself, logged in")
    address: str | None = Field(
        description="IP address of the client; null where another user acted",
        examples=["192.0.2.7"],
    )
    count: int = Field(
        description="how many equal refusals of a minute this event stands for", examples=[1]
    )
    before: dict[str, JsonValue] | None = Field(examples=[None])
    after: dict[str, JsonValue] | None = Field(examples=[{"user_agent": "curl/8.14"}])


class OwnEventPage(CursorPage[OwnEventSchema]):
    """A page of events with the cursor of the next one."""

    items: list[OwnEventSchema]


Reference = Annotated[str, StringConstraints(max_length=80, pattern=r"^[ -~]+$")]


class AuditFilters(ListParams):
    """Filters and order of the events. Each filter has an index; the newest come first."""

    actor: Reference | None = Field(
        None, description="such as user:1, job:send-mail or anonymous", examples=["user:1"]
    )
    target: Reference | None = Field(None, description="such as user:2", examples=["user:2"])
    user_id: RowId | None = Field(
        None, description="only events of this user's account", examples=[2]
    )
    action: Action | None = Field(None, examples=["user.updated"])
    created_from: Annotated[Moment | None, Filter("created_at", operator.ge)] = Field(
        None, description="from this time on", examples=["2026-11-01T00:00:00Z"]
    )
    created_to: Annotated[Moment | None, Filter("created_at", operator.lt)] = Field(
        None, description="before this time", examples=["2026-12-01T00:00:00Z"]
    )
    sort_by: Literal["created_at"] = Field("created_at", examples=["created_at"])


class AuditEventPage(CursorPage[AuditEventSchema]):
    """A page of events with the cursor of the next one."""

    items: list[AuditEventSchema]


Facts = dict[str, Any]
"""Fields of what was changed, or of an event, by name."""

"""Schemas of invitations."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, StrictBool, ValidationError
from pydantic_core import PydanticCustomError

from app.core.config import MAX_ROWS
from app.core.details import violations
from app.core.jobs import JobPayload
from app.core.pagination import Page
from app.schemas.access.role import MAX_USER_ROLES, RoleName
from app.schemas.account import LinkToken
from app.schemas.base import Email, FullName, NewPassword, RequestSchema, ResponseSchema, Username
from app.schemas.bulk import RefusedRow

InvitationState = Literal["pending", "accepted", "revoked", "expired"]


class InvitationCreate(RequestSchema):
    """A new invitation. It grants no more than the inviter may."""

    email: Email
    full_name: FullName | None = None
    roles: list[RoleName] = Field(
        [], max_length=MAX_USER_ROLES, description="of the new account", examples=[["support"]]
    )
    is_superuser: StrictBool = Field(False, description="only superusers may send true")


class InvitationSchema(ResponseSchema):
    """An invitation. It has the same fields whether or not a user has the address already."""

    id: int = Field(examples=[1])
    email: str = Field(examples=["grace@example.com"])
    full_name: str | None = Field(examples=["Grace Hopper"])
    roles: list[str] = Field(examples=[["support"]])
    is_superuser: bool = Field(examples=[False])
    state: InvitationState = Field(examples=["pending"])
    invited_by: int = Field(description="id of the user who sent it last", examples=[1])
    user_id: int | None = Field(description="id of the new account", examples=[None])
    created_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])
    sent_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])
    expires_at: datetime = Field(examples=["2026-11-28T06:30:00.123456Z"])
    accepted_at: datetime | None = Field(examples=[None])


class SentInvitation(InvitationSchema):
    """An invitation as it is sent: if the service sends no mail, with its link, this once."""

    link: str | None = Field(
        None,
        description="null if it was mailed, and in the answer to a repeated request",
        examples=[None],
    )


class InvitationPage(Page[InvitationSchema]):
    """A numbered page of invitations, the newest first."""

    items: list[InvitationSchema]  # pydantic serialises the library's Sequence more slowly
    total: int = Field(ge=0, examples=[1])
    page: int = Field(ge=1, examples=[1])
    size: int = Field(ge=1, examples=[50])
    pages: int = Field(ge=0, examples=[1])


class InvitationAccept(RequestSchema):
    """What an invited person sends to make the account."""

    token: LinkToken
    password: NewPassword
    username: Username | None = Field(None, description="default: derived from the email")
    full_name: FullName | None = Field(None, description="default: that of the invitation")


@dataclass(frozen=True, slots=True)
class InvitationRows:
    """The body of a request: one invitation, or a list of them.

    Attributes:
        rows: valid or not, so that the faults of all rows are reported together.
        is_list: whether a list was sent.
    """

    rows: Sequence[InvitationCreate | RefusedRow]
    is_list: bool

    @property
    def grants_privileges(self) -> bool:
        """Whether a new account would have a role, or be a superuser."""
        readable = [row for row in self.rows if isinstance(row, InvitationCreate)]
        return any(row.is_superuser or row.roles for row in readable)


def read_invitations(value: Any) -> InvitationRows:
    """Raises: PydanticCustomError: the list is longer than any setting allows."""
    is_list = isinstance(value, list)
    if is_list and len(value) > MAX_ROWS:  # before its rows are read
        raise PydanticCustomError("too_long", f"should have at most {MAX_ROWS} invitations")
    return InvitationRows([_read(row) for row in (value if is_list else [value])], is_list)


def _read(value: Any) -> InvitationCreate | RefusedRow:
    try:
        return InvitationCreate.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_input=False, include_url=False, include_context=False)
        return RefusedRow(violations({**e, "loc": ("row", *e["loc"])} for e in errors))


INVITATION_EXAMPLE = {"email": "grace@example.com", "full_name": "Grace Hopper"}
InvitationBody = Annotated[
    InvitationRows,
    PlainValidator(
        read_invitations, json_schema_input_type=InvitationCreate | list[InvitationCreate]
    ),
]


class PurgeInvitations(JobPayload):
    """Delete invitations 90 days after their links expired."""

    kind = "purge-invitations"

"""Schemas of an account's life: recovery of a password, and what a link in a mail allows."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field, RootModel

from app.core.jobs import JobPayload
from app.core.security import MAX_PASSWORD_LENGTH
from app.schemas.base import Email, NewPassword, RequestSchema, ResponseSchema, Secret

LinkToken = Annotated[
    Secret,
    Field(
        max_length=64,
        description="the token of the link in the mail",
        examples=["3q2-7wXkq0y1m5f0c0m7cY2l8mT1o0b6rK9zV4nE5sA"],
    ),
]


class Purpose(StrEnum):
    """What a one-time token allows."""

    PASSWORD_RESET = "password-reset"  # noqa: S105  # no password
    EMAIL_VERIFICATION = "email-verification"
    EMAIL_CHANGE = "email-change"
    EMAIL_CHANGE_UNDO = "email-change-undo"
    INVITATION = "invitation"
    DELETION_UNDO = "deletion-undo"


class PasswordRecovery(RequestSchema):
    email: Email


class PasswordReset(RequestSchema):
    token: LinkToken
    new_password: NewPassword


class TokenUse(RequestSchema):
    token: LinkToken


class EmailChange(RequestSchema):
    """A new email, which needs the current password besides a valid session."""

    email: Email
    current_password: Secret = Field(examples=["correct horse battery staple"])


class DeletionRequest(RequestSchema):
    current_password: Secret = Field(
        max_length=MAX_PASSWORD_LENGTH, examples=["correct horse battery staple"]
    )


class OwnData(RootModel[dict[str, Any]]):
    """All that is stored of a user: when it was read, and an array of rows for each table."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "exported_at": "2026-11-21T06:30:00.123456Z",
                    "users": [{"id": 1, "email": "ada@example.com"}],
                }
            ]
        }
    )


class DeletionSchema(ResponseSchema):
    """A deletion that can be undone until `delete_after`, by the link in a mail."""

    delete_after: datetime = Field(examples=["2026-12-05T06:30:00.123456Z"])
    is_mailed: bool = Field(
        description="false if the service sends no mail: an administrator can undo it"
    )


class DeleteAccounts(JobPayload):
    """Delete the accounts whose users requested it `AUTH_DELETION_GRACE` ago or earlier."""

    kind = "delete-accounts"


class ResetLink(ResponseSchema):
    """A link to set a new password: mailed, or here once if the service sends no mail."""

    is_mailed: bool
    link: str | None = Field(
        description="null if it was mailed",
        examples=["https://app.example.com/account/password-reset?token=…"],
    )
    expires_in: int = Field(description="seconds the link is valid", examples=[1800])


class PurgeTokens(JobPayload):
    """Delete one-time tokens that expired a week ago or earlier."""

    kind = "purge-tokens"

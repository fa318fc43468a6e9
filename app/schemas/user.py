"""Schemas of users."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import MISSING, BeforeValidator, Field, StrictBool

from app.schemas.base import Email, FullName, NewPassword, RequestSchema, ResponseSchema, Username


class UserSchema(ResponseSchema):
    """A user, without the password hash."""

    id: int = Field(examples=[1])
    email: str = Field(examples=["ada@example.com"])
    username: str = Field(examples=["ada"])
    full_name: str | None = Field(examples=["Ada Lovelace"])
    is_active: bool
    is_superuser: bool = Field(examples=[False])
    has_mfa: bool = Field(
        description="whether a login takes more than the password", examples=[False]
    )
    email_verified_at: datetime | None = Field(
        description="null: the user has not shown that the email is theirs",
        examples=["2026-11-21T06:30:00.123456Z"],
    )
    created_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])
    updated_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])


class SignUpPending(ResponseSchema):
    """A sign-up that has to be completed by the link in a mail. The same for an email that has an
    account already, whose owner is told by mail instead."""

    status: Literal["verification_required"] = "verification_required"


class UserProfile(RequestSchema):
    """Fields of a new user that anyone may send."""

    email: Email
    username: Username | None = Field(None, description="default: derived from the email")
    full_name: FullName | None = None


class UserSignUp(UserProfile):
    """A sign-up."""

    password: NewPassword


class NewUser(UserProfile):
    """Fields of a user that a superuser creates."""

    # No default in the document: client generators would make the field always present.
    is_active: StrictBool | MISSING = Field(MISSING, description="default: true")
    is_superuser: StrictBool | MISSING = Field(MISSING, description="default: false")


class UserCreate(NewUser):
    """A new user. Only superusers may send `is_active` and `is_superuser`."""

    password: NewPassword


def _as_sent(value: Any) -> Any:
    return value


SignUpOrCreate = Annotated[
    UserCreate, BeforeValidator(_as_sent, json_schema_input_type=UserSignUp | UserCreate)
]
"""Validated as `UserCreate`; the OpenAPI document has a schema for each of the two."""


class UserUpdate(RequestSchema):
    """Changes of a user; fields that are left out stay. Only `full_name` may be null.

    Only superusers may send `is_active` and `is_superuser`.
    """

    email: Email | MISSING = MISSING
    username: Username | MISSING = MISSING
    full_name: FullName | MISSING | None = MISSING
    is_active: StrictBool | MISSING = MISSING
    is_superuser: StrictBool | MISSING = MISSING

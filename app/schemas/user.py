"""Users on the wire."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import MISSING, BeforeValidator, Field, StrictBool

from app.schemas.base import Email, FullName, NewPassword, RequestSchema, ResponseSchema, Username


class UserSchema(ResponseSchema):
    """A user as others see it: no password, in no form."""

    id: int = Field(examples=[1])
    email: str = Field(examples=["ada@example.com"])
    username: str = Field(examples=["ada"])
    full_name: str | None = Field(examples=["Ada Lovelace"])
    is_active: bool
    is_superuser: bool
    created_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])
    updated_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])


class UserProfile(RequestSchema):
    """What everybody tells who comes to be a user."""

    email: Email
    username: Username | None = Field(None, description="derived from the email where left out")
    full_name: FullName | None = None


class UserSignUp(UserProfile):
    """A sign-up."""

    password: NewPassword


class NewUser(UserProfile):
    """What everybody who is created has, however they come."""

    # Without a default, which generators of clients take for what is always there.
    is_active: StrictBool | MISSING = Field(MISSING, description="true where left out")
    is_superuser: StrictBool | MISSING = Field(MISSING, description="false where left out")


class UserCreate(NewUser):
    """A user whom a superuser creates. Only they may send `is_active` and `is_superuser`."""

    password: NewPassword


def _as_sent(value: Any) -> Any:
    return value


SignUpOrCreate = Annotated[
    UserCreate, BeforeValidator(_as_sent, json_schema_input_type=UserSignUp | UserCreate)
]
"""Read as `UserCreate`, whoever sends it; the OpenAPI document has a schema for each of the two."""


class UserUpdate(RequestSchema):
    """What is to change; what is left out stays. `full_name` may be null, the others not.

    Only a superuser may send `is_active` and `is_superuser`.
    """

    email: Email | MISSING = MISSING
    username: Username | MISSING = MISSING
    full_name: FullName | MISSING | None = MISSING
    is_active: StrictBool | MISSING = MISSING
    is_superuser: StrictBool | MISSING = MISSING

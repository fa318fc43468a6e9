"""Users on the wire."""

from datetime import datetime

from pydantic import MISSING, Field, StrictBool

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


class NewUser(RequestSchema):
    """What everybody who is created has, however they come."""

    email: Email
    username: Username | None = Field(None, description="derived from the email where left out")
    full_name: FullName | None = None
    is_active: StrictBool = True
    is_superuser: StrictBool = False


class UserCreate(NewUser):
    """A sign-up. Only a superuser may send `is_active` and `is_superuser`."""

    password: NewPassword


class UserUpdate(RequestSchema):
    """What is to change; what is left out stays. `full_name` may be null, the others not.

    Only a superuser may send `is_active` and `is_superuser`.
    """

    email: Email | MISSING = MISSING
    username: Username | MISSING = MISSING
    full_name: FullName | MISSING | None = MISSING
    is_active: StrictBool | MISSING = MISSING
    is_superuser: StrictBool | MISSING = MISSING

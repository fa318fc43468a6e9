"""Schemas of login, tokens and passwords."""

from typing import Literal

from pydantic import Field, TypeAdapter

from app.schemas.access.mfa import MfaRequiredSchema
from app.schemas.base import NewPassword, RequestSchema, ResponseSchema, Secret, Text

_REFRESH_TOKEN = "0b9f6c1e8f524f0e9a575f3f0c8b7d21.AAAAAGV4YW1wbGU"  # noqa: S105  # an example


class LoginRequest(RequestSchema):
    """Email and password. Any text passes validation, so that every wrong password gets the same
    answer."""

    email: Text = Field(max_length=254, examples=["ada@example.com"])
    password: Secret = Field(examples=["correct horse battery staple"])


class RefreshRequest(RequestSchema):
    refresh_token: Secret = Field(examples=[_REFRESH_TOKEN])


class PasswordChange(RequestSchema):
    """A password change, which needs the current password besides a valid session."""

    current_password: Secret = Field(examples=["correct horse battery staple"])
    new_password: NewPassword


class TokenSchema(ResponseSchema):
    """An access token for the `Authorization` header, and a refresh token for the next pair."""

    access_token: str = Field(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.…"])
    refresh_token: str = Field(examples=[_REFRESH_TOKEN])
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  # the scheme's name
    expires_in: int = Field(description="seconds the access token is valid", examples=[900])
    mfa_enrolment_required: bool = Field(
        False,
        description="present, and true, after a login if you have to set up a second factor before "
        "anything else",
        exclude_if=lambda is_required: not is_required,
    )


LoginResult = TokenSchema | MfaRequiredSchema
"""What `POST /auth/login` answers: tokens, or what the second step needs."""
login_result = TypeAdapter[LoginResult](LoginResult).validate_python

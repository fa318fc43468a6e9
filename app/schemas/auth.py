"""Logging in, on the wire."""

from typing import Literal

from pydantic import Field

from app.schemas.base import NewPassword, RequestSchema, ResponseSchema, Secret, Text

_REFRESH_TOKEN = "0b9f6c1e8f524f0e9a575f3f0c8b7d21.AAAAAGV4YW1wbGU"  # noqa: S105  # an example


class LoginRequest(RequestSchema):
    """Any password that is text is accepted here and simply wrong: refusals are alike."""

    email: Text = Field(max_length=254, examples=["ada@example.com"])
    password: Secret = Field(examples=["correct horse battery staple"])


class RefreshRequest(RequestSchema):
    refresh_token: Secret = Field(examples=[_REFRESH_TOKEN])


class PasswordChange(RequestSchema):
    """Whoever sits at an open session has to know the password to change it."""

    current_password: Secret = Field(examples=["correct horse battery staple"])
    new_password: NewPassword


class TokenSchema(ResponseSchema):
    """A pair of tokens: the first for the `Authorization` header, the second for the next pair."""

    access_token: str = Field(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.…"])
    refresh_token: str = Field(examples=[_REFRESH_TOKEN])
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  # the scheme's name
    expires_in: int = Field(description="seconds the access token is valid", examples=[900])

"""Logging in, on the wire."""

from typing import Literal

from pydantic import Field, SecretStr

from app.schemas.base import NewPassword, RequestSchema, ResponseSchema


class LoginRequest(RequestSchema):
    """Any password is accepted here and simply wrong, so that refusals are alike."""

    email: str = Field(max_length=254, examples=["ada@example.com"])
    password: SecretStr = Field(examples=["correct horse battery staple"])


class RefreshRequest(RequestSchema):
    refresh_token: SecretStr


class PasswordChange(RequestSchema):
    """Whoever sits at an open session has to know the password to change it."""

    current_password: SecretStr
    new_password: NewPassword


class TokenSchema(ResponseSchema):
    """A pair of tokens: the first for the `Authorization` header, the second for the next pair."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  # the scheme's name
    expires_in: int = Field(description="seconds the access token is valid", examples=[900])

"""Schemas of impersonations."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool, StringConstraints

from app.schemas.base import RequestSchema, ResponseSchema, storable

Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=200),
    AfterValidator(storable),
]


class ImpersonationStart(RequestSchema):
    """Why a superuser acts as a user, and whether only to look."""

    reason: Reason = Field(
        description="for the audit trail; the user sees it too", examples=["Support case 4711"]
    )
    is_read_only: StrictBool = Field(True, description="whether only GET requests are allowed")


class ImpersonationSchema(ResponseSchema):
    """An access token of the user, whose claim `act` names the superuser. It cannot be renewed."""

    access_token: str = Field(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.…"])
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  # the scheme's name
    expires_in: int = Field(description="seconds the access token is valid", examples=[3600])
    session_id: UUID = Field(
        description="session of the user that this began; `POST /auth/logout` with the access "
        "token ends it",
        examples=["0b9f6c1e-8f52-4f0e-9a57-5f3f0c8b7d21"],
    )

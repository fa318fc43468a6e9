"""The error response, the same for every status from 400 to 599."""

from typing import get_args

from pydantic import ConfigDict, Field

from app.core.details import DetailCode
from app.schemas.base import ResponseSchema


class ErrorDetail(ResponseSchema):
    """One reason; some have further fields, such as `index`."""

    model_config = ConfigDict(extra="allow")

    field: str = Field(description="path of the field, parts joined by dots", examples=["email"])
    message: str = Field(examples=["not a valid email address"])
    # No enum: a client that was generated from an older document has to accept newer codes.
    code: str = Field(
        description="stable reason, for programs; one that is not in the list means `invalid`",
        examples=["malformed"],
        json_schema_extra={"x-extensible-enum": [*get_args(DetailCode)]},
    )


class ErrorSchema(ResponseSchema):
    error: str = Field(description="stable code", examples=["validation_error"])
    message: str = Field(
        description="human-readable sentence", examples=["Some values are not valid"]
    )
    details: list[ErrorDetail]
    request_id: str | None = Field(
        description="also in the X-Request-ID header and in the server's log",
        examples=["41bd7f3a0c6e4d0c9a1f6a6f0f3b2c1d"],
    )


class OAuthErrorSchema(ErrorSchema):
    """The error response of RFC 6749 §5.2, with the members of every other error."""

    error: str = Field(
        description="`invalid_grant`, `invalid_request`, `unsupported_grant_type` or "
        "`mfa_required`",
        examples=["invalid_grant"],
    )
    error_description: str = Field(
        description="as `message`, in the characters that the RFC permits",
        examples=["Incorrect email or password"],
    )
    mfa_token: str | None = Field(
        None,
        description="present with `mfa_required`, for `POST /auth/mfa`; so are `mfa_methods`, "
        "separated by spaces, and `expires_in`",
        examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.…"],
    )

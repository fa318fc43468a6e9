"""Schemas of second factors, the second step of a login, and confirmations."""

from datetime import datetime
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.access.passkey import SignInCredential
from app.schemas.base import RequestSchema, ResponseSchema, Secret

MfaMethod = Literal["totp", "recovery_code", "passkey"]
_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # noqa: S105  # an example
_CODE = "ABCD-EFGH-IJKL-MNOP"


class MfaRequiredSchema(ResponseSchema):
    """The password is right, and a second factor is required: `POST /auth/mfa` completes the
    login."""

    mfa_token: str = Field(
        description="for one login, by this client", examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6Ik…"]
    )
    mfa_methods: list[MfaMethod] = Field(examples=[["totp", "recovery_code"]])
    expires_in: int = Field(description="seconds the token is valid", examples=[300])


class MfaLogin(RequestSchema):
    """The second step of a login."""

    mfa_token: Secret = Field(max_length=4096, examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.…"])
    code: Secret = Field(
        max_length=64,
        description="of the authenticator app, or a recovery code",
        examples=["123456"],
    )


class CodeRequest(RequestSchema):
    code: Secret = Field(max_length=64, description="of the authenticator app", examples=["123456"])


class Confirmation(RequestSchema):
    """A proof of who the caller is: exactly one of the fields."""

    password: Secret | None = Field(None, examples=["correct horse battery staple"])
    code: Secret | None = Field(
        None,
        max_length=64,
        description="of the authenticator app, or a recovery code",
        examples=["123456"],
    )
    passkey: SignInCredential | None = Field(
        None, description="its answer to the options of `POST /auth/passkey/options`"
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if [self.password, self.code, self.passkey].count(None) != 2:
            raise PydanticCustomError("one_of", "give either a password, a code or a passkey")
        return self


class ConfirmedSchema(ResponseSchema):
    confirmed_until: datetime = Field(examples=["2026-11-21T06:40:00Z"])


class MfaStatus(ResponseSchema):
    """The second factors of a user."""

    totp_confirmed_at: datetime | None = Field(
        description="since when an authenticator app counts",
        examples=["2026-11-21T06:30:00.123456Z"],
    )
    recovery_codes_left: int = Field(examples=[10])
    is_required: bool = Field(
        description="whether the user has to have a second factor (AUTH_MFA_REQUIRED_FOR)",
        examples=[False],
    )


class TotpSetup(ResponseSchema):
    """What an authenticator app needs. It is shown once, and counts once a code has confirmed
    it."""

    secret: str = Field(description="in Base32, to be typed", examples=[_SECRET])
    uri: str = Field(
        description="for a QR code",
        examples=[f"otpauth://totp/Backend%20API:ada%40example.com?secret={_SECRET}&issuer=…"],
    )
    qr_code: str = Field(description="the QR code as SVG", examples=["<svg …></svg>"])


class NewRecoveryCodes(ResponseSchema):
    """Codes for the loss of all other factors, each for one use. They are shown once."""

    recovery_codes: list[str] = Field(examples=[[_CODE]])

"""Schemas of passkeys. What browsers send and expect is that of WebAuthn level 3, §5.1."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel, StringConstraints

from app.schemas.base import RequestSchema, ResponseSchema, storable

PasskeyName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    AfterValidator(storable),
    Field(examples=["Phone"]),
]


Base64url = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$"), Field(examples=["c2lnbmVk"])
]


class PasskeyOptions(RootModel[dict[str, Any]]):
    """For the browser, as JSON: `PublicKeyCredential.parseCreationOptionsFromJSON` or
    `parseRequestOptionsFromJSON`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"challenge": "c2lnbmVk", "rpId": "example.com", "timeout": 300000}]
        }
    )


class BrowserData(BaseModel):
    """Base of what browsers send: fields that we do not know are left out, not refused."""

    model_config = ConfigDict(extra="ignore")


class AttestationResponse(BrowserData):
    client_data: Base64url = Field(alias="clientDataJSON", max_length=8192)
    attestation: Base64url = Field(alias="attestationObject", max_length=65_536)


class AssertionResponse(BrowserData):
    client_data: Base64url = Field(alias="clientDataJSON", max_length=8192)
    authenticator_data: Base64url = Field(alias="authenticatorData", max_length=4096)
    signature: Base64url = Field(max_length=4096)
    user_handle: Base64url | None = Field(None, alias="userHandle", max_length=128)


class _Credential(BrowserData):
    id: Base64url = Field(max_length=1364)
    raw_id: Base64url = Field(alias="rawId", max_length=1364)
    type: Literal["public-key"]

    def as_sent(self) -> dict[str, Any]:
        """As the library expects it."""
        return self.model_dump(by_alias=True)


class RegistrationCredential(_Credential):
    """The JSON of what `navigator.credentials.create()` returns."""

    response: AttestationResponse


class SignInCredential(_Credential):
    """The JSON of what `navigator.credentials.get()` returns."""

    response: AssertionResponse


class PasskeyRegistration(RequestSchema):
    name: PasskeyName
    credential: RegistrationCredential


class PasskeyLogin(RequestSchema):
    credential: SignInCredential


class PasskeyUpdate(RequestSchema):
    name: PasskeyName


class PasskeySchema(ResponseSchema):
    """A passkey of a user."""

    id: int = Field(examples=[1])
    name: str = Field(examples=["Phone"])
    aaguid: UUID = Field(
        description="kind of authenticator", examples=["ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4"]
    )
    is_backup_eligible: bool = Field(
        description="whether it may be synchronised between devices", examples=[True]
    )
    is_backed_up: bool = Field(
        description="whether it was synchronised at its last use", examples=[True]
    )
    created_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])
    last_used_at: datetime | None = Field(examples=["2026-11-21T06:30:00.123456Z"])


class PasskeyCreated(ResponseSchema):
    passkey: PasskeySchema
    recovery_codes: list[str] = Field(
        description="with the first factor: codes for the loss of all factors, shown once",
        examples=[["ABCD-EFGH-IJKL-MNOP"]],
    )

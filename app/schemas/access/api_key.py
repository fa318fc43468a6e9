"""Schemas of API keys."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from app.core.pagination import Page
from app.core.security.api_keys import PREFIX
from app.schemas.access.role import Permissions
from app.schemas.base import Moment, RequestSchema, ResponseSchema, Secret, storable

_KEY = f"{PREFIX}0b9f6c1e8f524f0e9a575f3f0c8b7d21_5Qk…"
KeyName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(storable),
]


class ApiKeyCreate(RequestSchema):
    """A new API key."""

    name: KeyName = Field(description="what it is for", examples=["Nightly export"])
    permissions: Permissions = Field(
        description="none of them reaches further than yours, now or later; none lets it read your "
        "own profile and use your own resources"
    )
    expires_at: Moment = Field(description="within a year", examples=["2027-11-21T06:30:00Z"])


class ApiKeySchema(ResponseSchema):
    """An API key, without its secret."""

    id: UUID = Field(examples=["0b9f6c1e-8f52-4f0e-9a57-5f3f0c8b7d21"])
    name: str = Field(examples=["Nightly export"])
    permissions: list[str] = Field(examples=[["users:export"]])
    created_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])
    expires_at: datetime = Field(examples=["2027-11-21T06:30:00Z"])
    last_used_at: datetime | None = Field(
        description="accurate to about two minutes", examples=["2026-11-21T06:31:00.123456Z"]
    )

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= datetime.now(UTC)

    @property
    def start(self) -> str:
        """The beginning of the key, by which one recognises it."""
        return f"{PREFIX}{self.id.hex[:8]}…"


class ApiKeyCreated(ApiKeySchema):
    """A new API key, with the key itself: it is shown once."""

    key: str = Field(
        description="send it as `Authorization: Bearer`",
        examples=[_KEY],
    )


class ApiKeyPage(Page[ApiKeySchema]):
    """A numbered page of API keys."""

    items: list[ApiKeySchema]  # pydantic serialises the library's Sequence more slowly
    total: int = Field(ge=0, examples=[1])
    page: int = Field(ge=1, examples=[1])
    size: int = Field(ge=1, examples=[50])
    pages: int = Field(ge=0, examples=[1])


class LeakedKey(RequestSchema):
    """An API key that was found where it should not be."""

    key: Secret = Field(max_length=200, examples=[_KEY])

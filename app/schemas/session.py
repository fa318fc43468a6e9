"""Sessions on the wire, and in the cache."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.core.pagination import Page
from app.schemas.base import ResponseSchema
from app.schemas.user import UserSchema


class SessionSchema(ResponseSchema):
    """One device's login."""

    id: UUID = Field(examples=["0b9f6c1e-8f52-4f0e-9a57-5f3f0c8b7d21"])
    user_agent: str | None = Field(
        description="what the device called itself", examples=["curl/8.14"]
    )
    address: str | None = Field(description="IP address it logged in from", examples=["192.0.2.7"])
    created_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])
    last_seen_at: datetime = Field(
        description="to about a minute", examples=["2026-11-21T06:30:00.123456Z"]
    )
    expires_at: datetime = Field(
        description="unless it is refreshed before", examples=["2026-12-21T06:30:00.123456Z"]
    )
    is_current: bool = Field(False, description="whether this request came by it")


class SessionPage(Page[SessionSchema]):
    """A page of sessions by number."""

    items: list[SessionSchema]  # a Sequence, as the library has it, is written down item by item
    total: int = Field(ge=0, examples=[1])
    page: int = Field(ge=1, examples=[1])
    size: int = Field(ge=1, examples=[50])
    pages: int = Field(ge=0, examples=[1])


class Principal(ResponseSchema):
    """Who is behind a request: an active user, in a session that has not ended."""

    session_id: UUID
    user: UserSchema

    @property
    def user_id(self) -> int:
        return self.user.id

    @property
    def is_superuser(self) -> bool:
        return self.user.is_superuser

"""Schemas of sessions, and the cached principal."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.core.pagination import Page
from app.core.permissions import ALL, NONE, NOT_FOR_KEYS, Permission
from app.schemas.base import ResponseSchema
from app.schemas.user import UserSchema


class SessionSchema(ResponseSchema):
    """A login session of one device."""

    id: UUID = Field(examples=["0b9f6c1e-8f52-4f0e-9a57-5f3f0c8b7d21"])
    user_agent: str | None = Field(description="User-Agent header at login", examples=["curl/8.14"])
    address: str | None = Field(description="IP address at login", examples=["192.0.2.7"])
    created_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])
    last_seen_at: datetime = Field(
        description="accurate to about a minute", examples=["2026-11-21T06:30:00.123456Z"]
    )
    expires_at: datetime = Field(
        description="unless refreshed before", examples=["2026-12-21T06:30:00.123456Z"]
    )
    amr: list[str] = Field(
        description="how the user was authenticated, in words of RFC 8176 where it has one: `pwd`, "
        "`otp`, `recovery`, `mfa`; none for an impersonation",
        examples=[["pwd", "otp", "mfa"]],
    )
    is_impersonation: bool = Field(
        False, description="whether an administrator acts as the user by it"
    )
    is_current: bool = Field(False, description="whether this request uses it")


class SessionPage(Page[SessionSchema]):
    """A numbered page of sessions."""

    items: list[SessionSchema]  # pydantic serialises the library's Sequence more slowly
    total: int = Field(ge=0, examples=[1])
    page: int = Field(ge=1, examples=[1])
    size: int = Field(ge=1, examples=[50])
    pages: int = Field(ge=0, examples=[1])


class ApiKeyGrant(ResponseSchema):
    """The API key of a principal, and what it allows."""

    id: UUID
    name: str
    permissions: frozenset[Permission]


class Impersonator(ResponseSchema):
    """The superuser who acts as a principal's user.

    Attributes:
        session_id: of the superuser's own session.
        is_read_only: whether safe methods alone are allowed.
    """

    user_id: int
    username: str
    session_id: UUID
    is_read_only: bool
    expires_at: datetime


class Principal(ResponseSchema):
    """The authenticated caller of a request: an active user in a live session, or by an API key.

    Attributes:
        session_id: of the session, or of the key.
        granted: the permissions of the user's roles.
        role_ids: those roles.
        key: where the caller is a program with a key.
        impersonator: where a superuser acts as the user, who is no superuser then.
    """

    session_id: UUID
    user: UserSchema
    granted: frozenset[Permission] = NONE
    role_ids: frozenset[int] = frozenset()
    key: ApiKeyGrant | None = None
    impersonator: Impersonator | None = None

    @property
    def user_id(self) -> int:
        return self.user.id

    @property
    def person_id(self) -> int:
        """Id of the person who acts: the impersonator, or the user."""
        return self.user.id if self.impersonator is None else self.impersonator.user_id

    @property
    def is_superuser(self) -> bool:
        """Whether it is a superuser; a key of theirs is none."""
        return self.user.is_superuser and self.key is None

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the caller may do beyond their own account: with a key, at most what its owner may
        at this moment."""
        owned = ALL if self.user.is_superuser else self.granted
        return owned if self.key is None else (owned & self.key.permissions) - NOT_FOR_KEYS

    @property
    def may_use_admin_pages(self) -> bool:
        return self.is_superuser or bool(self.role_ids)

    def may(self, permission: Permission) -> bool:
        return self.is_superuser or permission in self.permissions

"""Who is behind a request."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Principal:
    """An active user in a session that has not ended."""

    user_id: int
    is_superuser: bool
    session_id: UUID


@dataclass(frozen=True, slots=True)
class Device:
    """Where a login comes from, as far as it told: `address` is an IP address."""

    user_agent: str | None
    address: str | None

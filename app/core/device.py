"""The client device of a request."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """User agent and IP address of a client."""

    user_agent: str | None
    address: str | None

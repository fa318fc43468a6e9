"""Where a request comes from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """As far as it told: `address` is an IP address."""

    user_agent: str | None
    address: str | None

"""Schemas of the traffic of the last 24 hours."""

from datetime import datetime

from app.schemas.base import ResponseSchema


class TrafficSlot(ResponseSchema):
    """Requests that ended within ten minutes, which begin at `moment`."""

    moment: datetime
    requests: int
    client_errors: int
    errors: int
    p95_ms: float | None


class TrafficHistory(ResponseSchema):
    """The last 24 hours by ten minutes, the current ones last.

    Attributes:
        is_shared: whether all processes of the service are in it; else the one that answers.
    """

    slots: list[TrafficSlot]
    is_shared: bool

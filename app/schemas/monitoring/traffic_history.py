"""Schemas of the traffic of a period."""

from datetime import datetime

from app.schemas.base import ResponseSchema


class TrafficSlot(ResponseSchema):
    """Requests that ended within the ten minutes, or on the day, that begin at `moment`. None: the
    history has nothing of it."""

    moment: datetime
    requests: int | None
    client_errors: int | None
    errors: int | None
    p95_ms: float | None


class TrafficTotal(ResponseSchema):
    """Requests of several slots.

    Attributes:
        slots: how many.
        known: of how many the history has anything.
    """

    requests: int
    client_errors: int
    errors: int
    p95_ms: float | None
    slots: int
    known: int

    @property
    def is_complete(self) -> bool:
        return self.known == self.slots


class TrafficHistory(ResponseSchema):
    """A period by ten minutes or days, the current ones last.

    Attributes:
        total: of the slots but the current one.
        before: of as many slots before.
        is_shared: whether all processes of the service are in it; else the one that answers.
    """

    slots: list[TrafficSlot]
    total: TrafficTotal
    before: TrafficTotal
    is_shared: bool

    @property
    def is_comparable(self) -> bool:
        return self.total.is_complete and self.before.is_complete

    def change(self, field: str) -> float | None:
        """The change of a figure of `total` against `before`, as a part of it; None where a part of
        the history is missing, or it was 0."""
        now, before = getattr(self.total, field), getattr(self.before, field)
        if not self.is_comparable or now is None or not before:
            return None
        return float(now - before) / float(before)

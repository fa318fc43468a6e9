"""Schemas of user statistics: counts by state, and sign-ups by hour or day."""

from datetime import datetime
from enum import StrEnum
from typing import Literal, Self

from pydantic import ConfigDict, Field

from app.schemas.base import ResponseSchema


class DashboardStats(ResponseSchema):
    """Numbers of users at one moment."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "total_users": 1204,
                    "active_users": 1100,
                    "inactive_users": 104,
                    "superusers": 3,
                    "new_users_today": 7,
                    "new_users_week": 58,
                    "timestamp": "2026-11-21T09:30:00Z",
                }
            ]
        }
    )

    total_users: int
    active_users: int
    inactive_users: int = Field(description="total_users - active_users")
    superusers: int = Field(description="including inactive ones")
    new_users_today: int = Field(description="since midnight, UTC")
    new_users_week: int = Field(description="in the last 7 × 24 hours")
    timestamp: datetime = Field(description="time of the count, UTC")


class Period(StrEnum):
    """A period that ends with the current hour or day. Sign-ups are counted by `unit`.

    Attributes:
        unit: "hour" or "day", in UTC.
        number: whole hours or days before the current one.
    """

    unit: Literal["hour", "day"]
    number: int

    def __new__(cls, name: str, unit: Literal["hour", "day"], number: int) -> Self:
        period = str.__new__(cls, name)
        period._value_ = name
        period.unit, period.number = unit, number
        return period

    DAY = "24h", "hour", 24
    WEEK = "7d", "day", 7
    MONTH = "30d", "day", 30
    QUARTER = "90d", "day", 90


class SignUpsAt(ResponseSchema):
    """Number of users, of those who still exist, created in the hour or on the day that begins at
    `moment`."""

    moment: datetime
    count: int


class SignUps(ResponseSchema):
    """Sign-ups of a period by hour or day, including those without any.

    Attributes:
        counts: of each whole hour or day of the period, and of the current one so far.
        before: sign-ups of as many whole hours or days before the period.
    """

    counts: list[SignUpsAt]
    before: int

    @property
    def total(self) -> int:
        """Sign-ups of the whole hours or days."""
        return sum(one.count for one in self.counts[:-1])

    @property
    def so_far(self) -> int:
        """Sign-ups of the current hour or day."""
        return self.counts[-1].count

    @property
    def change(self) -> float | None:
        """The change of `total` against `before`, as a part of it; None where that was 0."""
        return (self.total - self.before) / self.before if self.before else None

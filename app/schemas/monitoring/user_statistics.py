"""Schemas of user statistics: counts by state, and sign-ups by day."""

from datetime import date, datetime

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


class SignUpsOfDay(ResponseSchema):
    """Number of sign-ups on one day."""

    day: date
    count: int


class SignUps(ResponseSchema):
    """Sign-ups per day, including days without any."""

    days: list[SignUpsOfDay]

    @property
    def total(self) -> int:
        return sum(day.count for day in self.days)

"""The dashboard on the wire."""

from datetime import date, datetime

from pydantic import ConfigDict, Field

from app.schemas.base import ResponseSchema


class DashboardStats(ResponseSchema):
    """How many users there are, at one moment."""

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
    inactive_users: int = Field(description="total less active")
    superusers: int = Field(description="the inactive ones as well")
    new_users_today: int = Field(description="since midnight, UTC")
    new_users_week: int = Field(description="in the last 7 times 24 hours")
    timestamp: datetime = Field(description="when they were counted, UTC")


class SignUpsOfDay(ResponseSchema):
    """One bar of the chart."""

    day: date
    count: int


class SignUps(ResponseSchema):
    """Users created day by day, those without any included."""

    days: list[SignUpsOfDay]

    @property
    def total(self) -> int:
        return sum(day.count for day in self.days)

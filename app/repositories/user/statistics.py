"""Queries that count users, by state and by day of creation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Date, ScalarSelect, cast, func, select

from app.models import User
from app.repositories.base import BaseRepository


class UserCounts(NamedTuple):
    """Numbers of users at a moment.

    Attributes:
        today: created since midnight, UTC.
        week: created in the last 7 times 24 hours.
    """

    total: int
    inactive: int
    superusers: int
    today: int
    week: int
    now: datetime


@dataclass(frozen=True, slots=True)
class DayCount:
    """The number of users created on a day, in UTC."""

    day: date
    count: int


class UserStatisticsRepository(BaseRepository[User]):
    model = User

    async def count_by_state(self) -> UserCounts:
        """Count users in one statement.

        A count of its own for each, over an index of its own: one pass of `count(*) FILTER` has
        to read the whole table (ADR 8).
        """

        def count(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
            return select(func.count()).select_from(User).where(*conditions).scalar_subquery()

        query = select(
            count().label("total"),
            count(~User.is_active).label("inactive"),
            count(User.is_superuser.expression).label("superusers"),
            count(User.created_at >= func.date_trunc("day", func.now(), "UTC")).label("today"),
            count(User.created_at > func.now() - timedelta(days=7)).label("week"),
            func.now().label("now"),
        )
        return UserCounts(*(await self.db.execute(query)).one())

    async def count_created_by_day(self, days: int) -> Sequence[DayCount]:
        """Users created on each of the last `days` days, today last.

        One statement, which reads the index on `created_at` from the first day on.
        """
        # Without a time zone, in which a day has 24 hours, and then put into one to compare.
        today = func.date_trunc("day", func.timezone("UTC", func.now()))
        first = today - timedelta(days=days - 1)
        created_on = cast(func.timezone("UTC", User.created_at), Date)
        created = (
            select(created_on.label("day"), func.count().label("count"))
            .where(User.created_at >= func.timezone("UTC", first))
            .group_by(created_on)
            .subquery()
        )
        steps = func.generate_series(first, today, timedelta(days=1))
        series = steps.table_valued("moment").render_derived()
        day = cast(series.c.moment, Date)
        query = (
            select(day.label("day"), func.coalesce(created.c.count, 0).label("count"))
            .outerjoin_from(series, created, created.c.day == day)
            .order_by(day)
        )
        return [DayCount(*row) for row in await self.db.execute(query)]

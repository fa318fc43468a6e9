"""Numbers of users by state and by day of creation, from the counters of ADR 23."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Date, cast, func, select

from app.models import User
from app.models.user_count import UserCount
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
        """Count users in one statement, exactly and at the same cost for any number of them.

        Counters have all but the first hour of the week, of which only a part belongs to it: those
        users are counted over the index of `created_at` (ADR 23).
        """
        week = func.now() - timedelta(days=7)
        edge = func.date_trunc("hour", week + timedelta(hours=1), "UTC")
        today = func.date_trunc("day", func.now(), "UTC")
        at_the_edge = select(func.count()).select_from(User)
        at_the_edge = at_the_edge.where(User.created_at > week, User.created_at < edge)
        is_state = UserCount.bucket.is_(None)
        query = select(
            _sum(is_state).label("total"),
            _sum(is_state, ~UserCount.is_active).label("inactive"),
            _sum(is_state, UserCount.is_superuser.expression).label("superusers"),
            _sum(UserCount.bucket >= today).label("today"),
            (_sum(UserCount.bucket >= edge) + at_the_edge.scalar_subquery()).label("week"),
            func.now().label("now"),
        )
        return UserCounts(*(await self.db.execute(query)).one())

    async def count_created_by_day(self, days: int) -> Sequence[DayCount]:
        """Users created on each of the last `days` days, at most 60, today last."""
        # Without a time zone, in which a day has 24 hours, and then put into one to compare.
        today = func.date_trunc("day", func.timezone("UTC", func.now()))
        first = today - timedelta(days=days - 1)
        created_on = cast(func.timezone("UTC", UserCount.bucket), Date)
        created = (
            select(created_on.label("day"), func.sum(UserCount.delta).label("count"))
            .where(UserCount.bucket >= func.timezone("UTC", first))
            .group_by(created_on)
            .subquery()
        )
        steps = func.generate_series(first, today, timedelta(days=1))
        series = steps.table_valued("moment").render_derived()
        day = cast(series.c.moment, Date)
        query = (
            select(day.label("day"), _whole(func.coalesce(created.c.count, 0)).label("count"))
            .outerjoin_from(series, created, created.c.day == day)
            .order_by(day)
        )
        return [DayCount(*row) for row in await self.db.execute(query)]


def _sum(*conditions: ColumnElement[Any]) -> ColumnElement[int]:
    """The sum of the counters that meet all `conditions`."""
    return _whole(func.coalesce(func.sum(UserCount.delta).filter(*conditions), 0))


def _whole(number: ColumnElement[Any]) -> ColumnElement[int]:
    """A sum of `bigint` is `numeric`, which arrives as a Decimal."""
    return cast(number, BigInteger)

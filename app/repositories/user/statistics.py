"""Numbers of users by state and by time of creation, from the counters of ADR 23."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, cast, func, select

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


Unit = Literal["hour", "day"]
_LENGTHS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


@dataclass(frozen=True, slots=True)
class CreatedCount:
    """The number of users created within an hour or a day, in UTC, that begins at `moment`."""

    moment: datetime
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

    async def count_created(self, unit: Unit, number: int) -> Sequence[CreatedCount]:
        """Users created in each of the last `number` hours or days, the current one last.

        Counters have hours for eight days and days for half a year (ADR 23).
        """
        # Without a time zone, in which a day has 24 hours, and then put into one to compare.
        current = func.date_trunc(unit, func.timezone("UTC", func.now()))
        first = current - (number - 1) * _LENGTHS[unit]
        begun = func.date_trunc(unit, func.timezone("UTC", UserCount.bucket))
        created = (
            select(begun.label("moment"), func.sum(UserCount.delta).label("count"))
            .where(UserCount.bucket >= func.timezone("UTC", first))
            .group_by(begun)
            .subquery()
        )
        steps = func.generate_series(first, current, _LENGTHS[unit])
        moment = steps.table_valued("moment").render_derived().c.moment
        count = _whole(func.coalesce(created.c.count, 0))
        query = (
            select(func.timezone("UTC", moment).label("moment"), count.label("count"))
            .outerjoin(created, created.c.moment == moment)
            .order_by(moment)
        )
        return [CreatedCount(*row) for row in await self.db.execute(query)]


def _sum(*conditions: ColumnElement[Any]) -> ColumnElement[int]:
    """The sum of the counters that meet all `conditions`."""
    return _whole(func.coalesce(func.sum(UserCount.delta).filter(*conditions), 0))


def _whole(number: ColumnElement[Any]) -> ColumnElement[int]:
    """A sum of `bigint` is `numeric`, which arrives as a Decimal."""
    return cast(number, BigInteger)

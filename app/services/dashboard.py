"""`DashboardService`: statistics of users, counted and cached for a minute."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.cache import cache, invalidate_cache
from app.database import read_list, translated_errors
from app.repositories.user.statistics import UserStatisticsRepository
from app.schemas.monitoring.user_statistics import DashboardStats, Period, SignUps

T = TypeVar("T")

STATS_TTL = 60
"""Seconds that the statistics and the sign-ups are cached."""


class DashboardService:
    """Statistics of all users. One for the process: it opens a session only where a figure is not
    cached.

    Args:
        session: opens a session.
    """

    def __init__(self, session: Callable[[], AbstractAsyncContextManager[AsyncSession]]) -> None:
        self._session = session

    async def get_dashboard_stats_optimized(self) -> DashboardStats:
        """Count users in one query, without loading any."""
        counts = await self._read(lambda db: UserStatisticsRepository(db).count_by_state())
        return DashboardStats(
            total_users=counts.total,
            active_users=counts.total - counts.inactive,
            inactive_users=counts.inactive,
            superusers=counts.superusers,
            new_users_today=counts.today,
            new_users_week=counts.week,
            timestamp=counts.now,
        )

    @cache(expire=STATS_TTL)
    async def get_dashboard_stats(self) -> DashboardStats:
        """The same, cached, for the endpoint and the overview page.

        Raises:
            AppException: see `translate`.
        """
        return await self.get_dashboard_stats_optimized()

    @cache(expire=STATS_TTL)
    async def get_sign_ups(self, period: Period) -> SignUps:
        """Users by the hour or day on which they were created, and how many were before, cached.

        Raises:
            AppException: see `translate`.
        """
        unit, number = period.unit, period.number
        counts = await self._read(
            lambda db: UserStatisticsRepository(db).count_created(unit, 2 * number + 1)
        )
        before = sum(one.count for one in counts[:number])
        return SignUps.model_validate({"counts": counts[number:], "before": before})

    async def _read(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        with translated_errors():
            async with self._session() as db:
                return await read_list(db, work, is_shared=True)


async def invalidate_statistics() -> None:
    """Delete the cached statistics of users. Call after the commit that changed users."""
    await invalidate_cache("get_dashboard_stats*")
    await invalidate_cache("get_sign_ups*")

"""What the dashboard shows."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.cache import invalidate_cache
from app.repositories.user.statistics import UserStatisticsRepository
from app.schemas.dashboard import DashboardStats, SignUps

STATS_TTL = 60
"""Seconds that the statistics are remembered."""
CHART_DAYS = 30


class DashboardService:
    """Figures about all users. It lives as long as the process, and takes a session only where a
    figure is not remembered.

    Args:
        session: begins one, which ends with the figure.
    """

    def __init__(self, session: Callable[[], AbstractAsyncContextManager[AsyncSession]]) -> None:
        self._session = session

    async def get_dashboard_stats_optimized(self) -> DashboardStats:
        """Count in one query, by the database: no user is loaded, however many there are."""
        async with self._session() as db:
            counts = await UserStatisticsRepository(db).count_by_state()
        return DashboardStats(
            total_users=counts.total,
            active_users=counts.total - counts.inactive,
            inactive_users=counts.inactive,
            superusers=counts.superusers,
            new_users_today=counts.today,
            new_users_week=counts.week,
            timestamp=counts.now,
        )

    async def get_sign_ups(self) -> SignUps:
        """Users by the day on which they were created, over the last 30 days."""
        async with self._session() as db:
            days = await UserStatisticsRepository(db).count_created_by_day(CHART_DAYS)
        return SignUps.model_validate({"days": days})


async def renew_figures() -> None:
    """Forget what the dashboard remembers of users."""
    await invalidate_cache("get_dashboard_stats*")
    await invalidate_cache("sign_ups*")

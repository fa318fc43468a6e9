"""What the dashboard shows."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories import UserStatisticsRepository
from app.schemas import DashboardStats, SignUps
from app.services.base import BaseService

STATS_TTL = 60
"""Seconds that the statistics are remembered."""
CHART_DAYS = 30


class DashboardService(BaseService):
    """Figures about all users. Each is read in a session that ends with it."""

    def __init__(self, db: AsyncSession) -> None:
        super().__init__(db)
        self.users = UserStatisticsRepository(db)

    async def get_dashboard_stats_optimized(self) -> DashboardStats:
        """Count in one query, by the database: no user is loaded, however many there are."""
        async with self.db:
            counts = await self.users.count_by_state()
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
        async with self.db:
            days = await self.users.count_created_by_day(CHART_DAYS)
        return SignUps.model_validate({"days": days})

"""`UserCountService`: maintenance of the counters of users (ADR 23)."""

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.user.counts import UserCountRepository
from app.services.base import BaseService
from app.services.dashboard import invalidate_statistics

log = structlog.get_logger("app.users")


class UserCountService(BaseService):
    """Compacts the counters, and compares them with a full count."""

    def __init__(self, db: AsyncSession) -> None:
        super().__init__(db)
        self.counts = UserCountRepository(db)

    async def compact(self) -> None:
        """Sum up the counters that were added since the last time."""
        async with self.transaction():
            await self.counts.compact()

    async def error(self) -> int:
        """By how many the counters differ from a full count; 0 where they are right."""
        async with self.transaction():
            return await self.counts.error()

    async def recount(self) -> int:
        """Correct the counters by a full count, while users are changed.

        Returns:
            By how many they differed. Other than 0, rows were changed without the triggers: by
            a restore of data alone, or as a replica.
        """
        async with self.transaction():
            error = await self.counts.correct()
        if error:
            log.error("user_counts_corrected", by=error)
            await invalidate_statistics()
        return error

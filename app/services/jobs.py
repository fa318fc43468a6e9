"""`JobService`: the history of jobs."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.job_history import JobHistory
from app.services.base import BaseService


class JobService(BaseService):
    """Background jobs, as an administrator sees them."""

    def __init__(self, db: AsyncSession) -> None:
        super().__init__(db)
        self.history = JobHistory(db)

    async def purge(self, keep: float) -> int:
        """Delete the history of jobs that ended more than `keep` seconds ago; the number of events.

        The counts by kind and outcome stay, without their times.
        """
        moment = datetime.now(UTC) - timedelta(seconds=keep)
        async with self.transaction():
            await self.history.fold_counts()
        return await self.in_batches(lambda limit: self.history.delete_before(moment, limit))

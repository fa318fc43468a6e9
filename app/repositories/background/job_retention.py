"""Retention of job events: deletes old ones, and aggregates their counts."""

from datetime import datetime

from sqlalchemy import exists, text

from app.models.background.job import JobEvent, QueuedJob
from app.repositories.base import BaseRepository

# By the second at first. Only the sums are read, and they are read often.
_FOLD_COUNTS = text("""
    WITH old AS (
        DELETE FROM pgqueuer_statistics
        WHERE created < now() - interval '1 hour' AND created > 'epoch'
        RETURNING entrypoint, priority, status, count
    )
    INSERT INTO pgqueuer_statistics AS stored (created, entrypoint, priority, status, count)
    SELECT 'epoch', entrypoint, priority, status, sum(count) FROM old GROUP BY 2, 3, 4
    ON CONFLICT (priority, date_trunc('sec', timezone('UTC', created)), status, entrypoint)
    DO UPDATE SET count = stored.count + excluded.count
""")


class JobRetentionRepository(BaseRepository[JobEvent]):
    model = JobEvent

    async def delete_before(self, moment: datetime, limit: int) -> int:
        """Delete events before `moment`, at most `limit`, of jobs that are over and counted; the
        number of them."""
        is_over = ~exists().where(QueuedJob.id == JobEvent.job_id)
        return await self.delete_some(
            JobEvent.created < moment, JobEvent.aggregated.is_(True), is_over, limit=limit
        )

    async def fold_counts(self) -> None:
        """Add up the counts of all seconds before the last hour."""
        await self.db.execute(_FOLD_COUNTS)

"""Maintenance of the counters of users: compaction, comparison with a full count, correction."""

from sqlalchemy import func, select, text

from app.database import locks
from app.models.user_count import STATES, UserCount
from app.repositories.base import BaseRepository

FULL_COUNT_TIMEOUT = "10min"
"""`statement_timeout` of a full count, which takes about half a second for a million users."""
_KEY = ", ".join(("bucket", *STATES))
_STATES = ", ".join(STATES)
# One statement: a concurrent reader sees either the rows or their sum. A row that is inserted
# meanwhile stays, and one that another compaction has deleted is not summed again.
_COMPACT = text(f"""
    WITH counted AS (
        SELECT id, bucket, user_count_bucket(bucket) AS later,
            count(*) OVER (PARTITION BY user_count_bucket(bucket), {_STATES}) AS alike
        FROM user_counts
    ), taken AS (
        DELETE FROM user_counts WHERE id IN (
            SELECT id FROM counted WHERE alike > 1 OR bucket IS DISTINCT FROM later
        )
        RETURNING user_count_bucket(bucket) AS bucket, {_STATES}, delta
    )
    INSERT INTO user_counts ({_KEY}, delta)
        SELECT {_KEY}, sum(delta) FROM taken GROUP BY {_KEY} HAVING sum(delta) <> 0
""")  # noqa: S608  # names of columns
_CORRECT = text(f"""
    INSERT INTO user_counts ({_KEY}, delta) SELECT {_KEY}, delta FROM user_count_errors
    RETURNING delta
""")  # noqa: S608  # the same


class UserCountRepository(BaseRepository[UserCount]):
    model = UserCount

    async def compact(self) -> None:
        """Replace counters of the same users by their sum."""
        await self.db.execute(_COMPACT)

    async def error(self) -> int:
        """By how many the counters differ from a full count, which reads the whole table."""
        await self._allow_time()
        query = text("SELECT coalesce(sum(abs(delta)), 0)::bigint FROM user_count_errors")
        return await self.db.scalar(query) or 0

    async def correct(self) -> int:
        """Add what the counters lack; by how many they differed from a full count."""
        await self._allow_time()
        # Before the statement whose snapshot it protects: two corrections would both be added.
        await self.db.execute(select(func.pg_advisory_xact_lock(locks.RECOUNT)))
        return sum(map(abs, await self.db.scalars(_CORRECT)))

    async def _allow_time(self) -> None:
        await self.db.execute(text(f"SET LOCAL statement_timeout = '{FULL_COUNT_TIMEOUT}'"))

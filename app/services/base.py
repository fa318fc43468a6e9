"""What every service has: a session, and the application's one commit."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.middleware.deadline import commit_window

BATCH = 5_000
"""Rows that one statement of a purge deletes at most: about 0.1 s."""


class BaseService:
    """Rules on top of repositories that share `db`.

    Args:
        db: the request's session; nothing else may commit it.
    """

    def __init__(self, db: AsyncSession) -> None:
        self.db = db

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit when the block ends, before any answer is sent; roll back when it raises.

        Raises:
            RequestTimeoutException: the request's deadline passed; nothing was committed.
            sqlalchemy.exc.SQLAlchemyError: the commit failed; one handler translates it.
        """
        try:
            yield
            with commit_window():
                await self.db.commit()
        except BaseException:
            await self.db.rollback()
            raise

    async def in_batches(self, delete: Callable[[int], Awaitable[int]]) -> int:
        """Delete until nothing is left, each batch in a transaction of its own, so that none takes
        longer than a statement may, and what was done stays done; how much it was.

        Args:
            delete: deletes at most so many rows, and tells how many.
        """
        count = 0
        while True:
            async with self.transaction():
                deleted = await delete(BATCH)
            count += deleted
            if deleted < BATCH:
                return count

    async def release_connection(self) -> None:
        """Hand the connection back while something slow runs; the next query takes one again."""
        await self.db.rollback()

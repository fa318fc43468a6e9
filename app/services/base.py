"""Base class of the services: session and transaction."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.middleware.deadline import commit_window
from app.database import mark_commit
from app.services.audit.recorder import AuditRecorder

DELETE_BATCH = 5_000
"""Maximum number of rows that one statement of a purge deletes: about 0.1 s."""


class BaseService:
    """A service: business rules on top of repositories that share a session.

    Args:
        db: session of the request; only `transaction` may commit it.

    Attributes:
        audit: records the changes that a transaction makes, within it.
    """

    def __init__(self, db: AsyncSession) -> None:
        self.db = db
        self.audit = AuditRecorder(db)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit at the end of the block, before the response is sent; roll back if it raises.

        Raises:
            RequestTimeoutException: the request's deadline passed; nothing was committed.
            sqlalchemy.exc.SQLAlchemyError: the commit failed; one handler translates it.
        """
        events = self.audit.waiting
        events.begin()
        try:
            yield
            await events.insert()
            with commit_window():
                await self.db.commit()
        except BaseException:
            await self.db.rollback()
            raise
        finally:
            events.end()
        await mark_commit(self.db)

    async def in_batches(self, delete: Callable[[int], Awaitable[int]]) -> int:
        """Delete rows in batches, each in its own transaction, so that no statement times out.

        Args:
            delete: deletes at most the given number of rows, and returns the actual number.

        Returns:
            The number of deleted rows.
        """
        count = 0
        while True:
            async with self.transaction():
                deleted = await delete(DELETE_BATCH)
            count += deleted
            if deleted < DELETE_BATCH:
                return count

    async def release_connection(self) -> None:
        """Return the connection to the pool before slow work; the next query takes another."""
        await self.db.rollback()

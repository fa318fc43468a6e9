"""What every service has: a session, and the application's one commit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.deadline import commit_window


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

    async def release_connection(self) -> None:
        """Hand the connection back while something slow runs; the next query takes one again."""
        await self.db.rollback()

"""Sessions: who has which, and ending them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import NotFoundException
from app.repositories import SessionRepository, UserRepository
from app.schemas import SessionSchema
from app.services.base import BaseService
from app.services.principal_cache import PrincipalCache

RETENTION = timedelta(days=7)
"""How long a session that is over stays on record. It cannot come back: what is not found is
refused just like what has ended."""


class SessionService(BaseService):
    """Listing and ending sessions. Ended ones are so on the next request, in every process."""

    def __init__(self, db: AsyncSession, principals: PrincipalCache) -> None:
        super().__init__(db)
        self.sessions = SessionRepository(db)
        self.users = UserRepository(db)
        self.principals = principals

    async def of(self, user_id: int, current: UUID) -> list[SessionSchema]:
        """A user's live sessions, the one used last first.

        Args:
            user_id: whose.
            current: the one that asks.
        """
        return [
            SessionSchema.model_validate(session).model_copy(
                update={"is_current": session.id == current}
            )
            for session in await self.sessions.live_of(user_id)
        ]

    async def of_user_or_raise(self, user_id: int, current: UUID) -> list[SessionSchema]:
        """The same, for a superuser.

        Raises:
            NotFoundException: there is no such user.
        """
        await self.users.get_or_raise(user_id)
        return await self.of(user_id, current)

    async def end(self, session_id: UUID, user_id: int) -> bool:
        """End a user's session; whether it was live."""
        async with self.transaction():
            ended = await self.sessions.end(session_id, user_id)
        await self.principals.end_sessions(ended)
        return bool(ended)

    async def end_or_raise(self, session_id: UUID, user_id: int) -> None:
        """End a user's session.

        Raises:
            NotFoundException: they have no such live session.
        """
        if not await self.end(session_id, user_id):
            raise NotFoundException("Session not found")

    async def end_all(self, user_id: int) -> None:
        """End all sessions of a user."""
        async with self.transaction():
            ended = await self.sessions.end_all(user_id)
        await self.principals.end_sessions(ended)

    async def end_all_or_raise(self, user_id: int) -> None:
        """The same, for a superuser.

        Raises:
            NotFoundException: there is no such user.
        """
        await self.users.get_or_raise(user_id)
        await self.end_all(user_id)

    async def purge(self) -> int:
        """Delete the sessions that have been over for a week; how many there were.

        Where another process purges at this moment, none.
        """
        async with self.transaction():
            if not await self.sessions.lock_purge():
                return 0
            return await self.sessions.delete_over_before(datetime.now(UTC) - RETENTION)

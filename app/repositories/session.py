"""Queries on sessions."""

from uuid import UUID

from sqlalchemy import Row, func, select, update

from app.models import Session, User
from app.repositories.base import BaseRepository

_LIVE = Session.ended_at.is_(None), Session.expires_at > func.now()


class SessionRepository(BaseRepository[Session]):
    model = Session

    async def principal(self, session_id: UUID) -> Row[int, bool] | None:
        """`id` and `is_superuser` of the active user whose live session this is."""
        query = (
            select(User.id, User.is_superuser)
            .join(Session, Session.user_id == User.id)
            .where(Session.id == session_id, *_LIVE, User.is_active)
        )
        return (await self.db.execute(query)).one_or_none()

    async def lock_live(self, session_id: UUID) -> Session | None:
        """The session, if it is live and its user active, locked until the transaction ends."""
        query = (
            select(Session)
            .join(User, Session.user_id == User.id)
            .where(Session.id == session_id, *_LIVE, User.is_active)
            .with_for_update(of=Session)
        )
        return await self.db.scalar(query)

    async def end(self, session_id: UUID) -> None:
        await self.db.execute(
            update(Session)
            .where(Session.id == session_id, Session.ended_at.is_(None))
            .values(ended_at=func.now())
        )

    async def end_all(self, user_id: int) -> None:
        await self.db.execute(
            update(Session)
            .where(Session.user_id == user_id, Session.ended_at.is_(None))
            .values(ended_at=func.now())
        )

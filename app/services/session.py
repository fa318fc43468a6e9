"""Sessions: who is behind one, who has which, and ending them."""

from datetime import UTC, datetime, timedelta
from math import ceil
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.core.config import AuthSettings
from app.core.exceptions import NotFoundException, UnauthorizedException
from app.core.pagination import PageParams
from app.core.security import AccessToken, TokenKind, TokenSigner
from app.repositories.session import SessionRepository
from app.repositories.user.repository import UserRepository
from app.schemas.session import Principal, SessionPage, SessionSchema
from app.schemas.user import UserSchema
from app.services.base import BaseService
from app.services.principals import PrincipalCache

SEEN_EVERY = timedelta(minutes=1)
"""How exact a session's `last_seen_at` is: a write for each request would cost too much."""
RETENTION = timedelta(days=7)
"""How long a session that is over stays on record. It cannot come back: what is not found is
refused just like what has ended."""


def expiry(settings: AuthSettings, begun: datetime) -> datetime:
    """When a session that is in use now ends: idle for `AUTH_REFRESH_TTL`, or `AUTH_SESSION_TTL`
    after it began, what comes first."""
    idle = datetime.now(UTC) + timedelta(seconds=settings.refresh_ttl)
    return min(idle, begun + timedelta(seconds=settings.session_ttl))


class SessionService(BaseService):
    """Listing and ending sessions. Ended ones are so on the next request, in every process."""

    def __init__(self, db: AsyncSession, principals: PrincipalCache) -> None:
        super().__init__(db)
        self.sessions = SessionRepository(db)
        self.users = UserRepository(db)
        self.principals = principals

    async def principal(self, token: AccessToken, settings: AuthSettings) -> Principal:
        """Who is behind a token, by the database.

        The session of a page lives longer by this, as one of the API does by a refresh.

        Args:
            token: as read.
            settings: how long sessions live.

        Raises:
            UnauthorizedException: its session has ended or expired, or its user is gone or
                disabled.
        """
        session = await self.sessions.live_with_user(token.session_id, token.user_id)
        if session is None:
            raise UnauthorizedException("Invalid token")
        principal = Principal(session_id=session.id, user=UserSchema.model_validate(session.user))
        now, renewed = datetime.now(UTC), None
        if session.last_seen_at < now - SEEN_EVERY:
            if token.kind == "page":
                renewed = expiry(settings, session.created_at)
            async with self.transaction():
                await self.sessions.touch(session.id, renewed)
        lifetime = ((renewed or session.expires_at) - now).total_seconds()
        await self.principals.fill(principal, lifetime)
        return principal

    async def of(self, user_id: int, current: UUID, params: PageParams) -> SessionPage:
        """A page of a user's live sessions, the one used last first.

        Args:
            user_id: whose.
            current: the one that asks.
            params: which page.
        """
        offset = (params.page - 1) * params.size
        sessions = await self.sessions.live_of(user_id, params.size, offset)
        total = len(sessions)
        if offset or total == params.size:  # else these are all there are
            total = await self.sessions.count_live_of(user_id)
        items = [
            SessionSchema.model_validate(session).model_copy(
                update={"is_current": session.id == current}
            )
            for session in sessions
        ]
        return SessionPage(
            items=items,
            total=total,
            page=params.page,
            size=params.size,
            pages=ceil(total / params.size),
        )

    async def of_user_or_raise(
        self, user_id: int, current: UUID, params: PageParams
    ) -> SessionPage:
        """The same, for a superuser.

        Raises:
            NotFoundException: there is no such user.
        """
        await self.users.get_or_raise(user_id)
        return await self.of(user_id, current, params)

    async def end(self, session_id: UUID, user_id: int) -> bool:
        """End a user's session; whether it was live."""
        async with self.transaction():
            was_live = await self.sessions.end(session_id, user_id)
        if was_live:
            await self.principals.end_sessions([session_id])
        return was_live

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
            await self.sessions.end_all(user_id)
        await self.principals.forget_user(user_id)

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
        moment = datetime.now(UTC) - RETENTION

        async def batch(limit: int) -> int:
            if not await self.sessions.lock_purge():
                return 0
            return await self.sessions.delete_over_before(moment, limit)

        return await self.in_batches(batch)


class Authenticator:
    """Who is behind a token: lives as long as the process, and takes a database session only
    where the cache does not know."""

    def __init__(
        self,
        session_maker: async_sessionmaker[AsyncSession],
        tokens: TokenSigner,
        principals: PrincipalCache,
        settings: AuthSettings,
    ) -> None:
        self._session_maker = session_maker
        self._tokens = tokens
        self._principals = principals
        self._settings = settings

    async def principal(self, token: str, kind: TokenKind = "access") -> Principal:
        """An active user in a live session; without a query while they are remembered.

        Args:
            token: as it was sent.
            kind: what it has to be.

        Raises:
            UnauthorizedException: the token is malformed, forged, expired or of another kind,
                its session has ended, or its user is gone or disabled.
        """
        read = self._tokens.read(token, kind)
        if remembered := await self._principals.get(read):
            return remembered
        async with self._session_maker() as db:
            return await SessionService(db, self._principals).principal(read, self._settings)

"""`SessionService`: lists, extends and ends login sessions, and purges old ones."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.exceptions import NotFoundException, TokenRevokedException
from app.core.pagination import PageParams
from app.core.permissions import known
from app.core.security import AccessToken, Actor
from app.models import Session
from app.repositories.access.mfa import MfaRepository
from app.repositories.session import SessionRepository
from app.repositories.user.activity import UserActivityRepository, is_new_day
from app.repositories.user.repository import UserRepository
from app.schemas.access.session import Principal, SessionPage
from app.schemas.audit import Action, Target
from app.schemas.user import UserSchema
from app.services.access.rules import check_superuser
from app.services.base import BaseService
from app.services.principals import PrincipalCache, principal_of

SEEN_EVERY = timedelta(minutes=1)
"""Precision of a session's `last_seen_at`: a write for each request would cost too much."""
RETENTION = timedelta(days=7)
"""How long an ended session stays in the table. One that is not found is refused like one that has
ended."""


def expiry(settings: AuthSettings, begun: datetime) -> datetime:
    """The expiry of a session that is in use now: `AUTH_REFRESH_TTL` from now, or
    `AUTH_SESSION_TTL` after it began, whichever comes first."""
    idle = datetime.now(UTC) + timedelta(seconds=settings.refresh_ttl)
    return min(idle, begun + timedelta(seconds=settings.session_ttl))


def _is_for(session: Session, actor: Actor | None) -> bool:
    """Whether a session is an ordinary one, or the impersonation of this actor."""
    own = (None, None) if actor is None else (actor.user_id, actor.session_id)
    return (session.impersonator_id, session.impersonator_session_id) == own


class SessionService(BaseService):
    """Lists and ends sessions. An end takes effect on the next request, in every process."""

    def __init__(self, db: AsyncSession, principals: PrincipalCache) -> None:
        super().__init__(db)
        self.sessions = SessionRepository(db)
        self.users = UserRepository(db)
        self.activity = UserActivityRepository(db)
        self.principals = principals

    async def principal(self, token: AccessToken, settings: AuthSettings) -> Principal:
        """The principal of a token, by the database.

        This extends the session of a page, as a refresh extends one of the API; an impersonation
        is never extended.

        Args:
            token: with a valid signature.
            settings: lifetimes of sessions.

        Raises:
            TokenRevokedException: its session has ended or expired, or its user is deleted or
                inactive.
        """
        found = await self.sessions.live_with_user(token.session_id, token.user_id)
        if found is None or not _is_for(found.session, token.actor):
            raise TokenRevokedException
        session, user = found.session, UserSchema.model_validate(found.session.user)
        roles = {int(role_id): known(names) for role_id, names in found.roles.items()}
        now, renewed = datetime.now(UTC), None
        if session.last_seen_at < now - SEEN_EVERY:
            if token.kind == "page" and token.actor is None:
                renewed = expiry(settings, session.created_at)
            async with self.transaction():
                if token.actor is None and is_new_day(session.last_seen_at):
                    await self.activity.record(session.user_id)
                await self.sessions.touch(session.id, renewed)
        lifetime = ((renewed or session.expires_at) - now).total_seconds()
        principal = principal_of(session.id, user, roles)
        await self.principals.fill(principal, lifetime, roles, token.actor)
        return principal

    async def of(self, user_id: int, current: UUID, params: PageParams) -> SessionPage:
        """A page of a user's live sessions, the one used last first.

        Args:
            user_id: the user.
            current: the session of the request.
            params: number and size of the page.
        """
        page = SessionPage.model_validate(await self.sessions.live_of(user_id, params))
        items = [
            session.model_copy(update={"is_current": session.id == current})
            for session in page.items
        ]
        return page.model_copy(update={"items": items})

    async def of_user_or_raise(
        self, user_id: int, current: UUID, params: PageParams
    ) -> SessionPage:
        """The same, for a caller who may read the sessions of others.

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
                await self._record_end(session_id, user_id)
        if was_live:
            await self.principals.end_sessions([session_id])
        return was_live

    async def _record_end(self, session_id: UUID, user_id: int) -> None:
        session = Target("session", session_id)
        reason = await self.sessions.impersonation_reason(session_id)
        if reason is None:
            self.audit.record(Action.SESSION_ENDED, session, user_id=user_id)
        else:
            facts = {"reason": reason}
            action = Action.IMPERSONATION_ENDED
            self.audit.record(action, session, user_id=user_id, after=facts)

    async def end_or_raise(self, session_id: UUID, user_id: int) -> None:
        """End a user's session.

        Raises:
            NotFoundException: they have no such live session.
        """
        if not await self.end(session_id, user_id):
            raise NotFoundException("Session not found")

    async def end_all(self, user_id: int, but: UUID | None = None) -> None:
        """End all sessions of a user, or all but one."""
        async with self.transaction():
            if ended := await self.sessions.end_all(user_id, but=but):
                facts = {"sessions_ended": ended}
                self.audit.record(Action.SESSIONS_ENDED, Target("user", user_id), after=facts)
        await self.principals.forget_user(user_id)

    async def end_all_or_raise(self, user_id: int, caller: Principal) -> None:
        """The same, for a caller who may end the sessions of others.

        Raises:
            NotFoundException: there is no such user.
            ForbiddenException: the user is a superuser, and the caller is none.
        """
        check_superuser(caller, await self.users.get_or_raise(user_id))
        await self.end_all(user_id)

    async def end_of_user_or_raise(self, session_id: UUID, user_id: int, caller: Principal) -> None:
        """End a user's session, for a caller who may end the sessions of others.

        Raises:
            NotFoundException: there is no such user, or they have no such live session.
            ForbiddenException: the user is a superuser, and the caller is none.
        """
        check_superuser(caller, await self.users.get_or_raise(user_id))
        await self.end_or_raise(session_id, user_id)

    async def purge(self) -> int:
        """Delete the sessions that ended a week ago or more, and spent challenges; the number of
        the sessions.

        None where another process is purging.
        """
        moment = datetime.now(UTC) - RETENTION

        async def batch(limit: int) -> int:
            if not await self.sessions.lock_purge():
                return 0
            return await self.sessions.delete_over_before(moment, limit)

        await self.in_batches(MfaRepository(self.db).delete_expired)
        return await self.in_batches(batch)

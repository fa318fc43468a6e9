"""`ImpersonationService`: superusers act as other users."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import ConflictException, ForbiddenException
from app.core.security import Actor, TokenKind, TokenSigner
from app.models import Session
from app.repositories.session import SessionRepository
from app.repositories.user.repository import UserRepository
from app.schemas.access.impersonation import ImpersonationStart
from app.schemas.access.session import Principal
from app.schemas.audit import Action, Target
from app.services.account.notices import Notices
from app.services.base import BaseService

log = structlog.get_logger("app.security")

LIFETIME = timedelta(hours=1)
"""Of an impersonation. It cannot be renewed."""


@dataclass(frozen=True, slots=True)
class Impersonation:
    """A new impersonation.

    Attributes:
        expires_in: lifetime in seconds.
        session_id: of the user.
    """

    access_token: str
    expires_in: int
    session_id: UUID


class ImpersonationService(BaseService):
    """Begins sessions of users for superusers. Each hangs on the superuser's own session, and is
    refused from the next request after either has ended: see `Authenticator`. `SessionService` ends
    it.

    Args:
        db: database session of the request.
        signer: signs the tokens.
        sends_mail: whether the service sends mail.
    """

    def __init__(self, db: AsyncSession, signer: TokenSigner, *, sends_mail: bool) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.sessions = SessionRepository(db)
        self.notices = Notices(db, is_on=sends_mail)
        self.signer = signer

    async def start(
        self, user_id: int, start: ImpersonationStart, caller: Principal, kind: TokenKind = "access"
    ) -> Impersonation:
        """Act as a user, who gets a notice.

        Args:
            user_id: the user.
            start: why, and whether read-only.
            caller: a superuser, by a session of their own.
            kind: of the token.

        Raises:
            NotFoundException: there is no such user.
            ForbiddenException: the caller is no superuser by themselves, or the user is one.
            ConflictException: the user is not active.
        """
        if not caller.is_superuser or caller.impersonator is not None:
            raise ForbiddenException
        expires_at = (datetime.now(UTC) + LIFETIME).replace(microsecond=0)
        async with self.transaction():
            # Locked, so that any later end of the user's sessions includes this one.
            user = await self.users.get_or_raise(user_id, lock=True)
            if user.is_superuser:
                raise ForbiddenException("Nobody can act as a superuser")
            if not user.is_active:
                raise ConflictException("The account is not active")
            session = self._session(user_id, start.reason, caller, expires_at)
            await self.sessions.begin(session)
            facts = {**start.model_dump(), "expires_at": expires_at.isoformat()}
            target = Target("session", session.id)
            self.audit.record(Action.IMPERSONATION_STARTED, target, user_id=user_id, after=facts)
            await self.notices.send("impersonation", user.id, user.email)
        log.warning("impersonation", user=user_id, impersonator=caller.user_id)
        actor = Actor(caller.user_id, caller.session_id, start.is_read_only, expires_at)
        token = self.signer.sign_for(actor, user_id, session.id, kind)
        return Impersonation(token, int(LIFETIME.total_seconds()), session.id)

    def _session(
        self, user_id: int, reason: str, caller: Principal, expires_at: datetime
    ) -> Session:
        """Without device, address and methods of authentication, which would be the superuser's.
        Nobody gets its refresh token."""
        session_id = uuid4()
        unused = self.signer.refresh.new(session_id)
        return Session(
            id=session_id,
            user_id=user_id,
            refresh_hash=self.signer.refresh.read(unused).hash,
            expires_at=expires_at,
            amr=[],
            impersonator_id=caller.user_id,
            impersonator_session_id=caller.session_id,
            impersonation_reason=reason,
        )

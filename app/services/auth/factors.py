"""`FactorService`: what every change of a second factor brings with it."""

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security.mfa.recovery_codes import new_recovery_codes, recovery_code_hash
from app.models import User
from app.repositories.access.mfa import MfaRepository
from app.repositories.session import SessionRepository
from app.repositories.user.repository import UserRepository
from app.schemas.access.session import Principal
from app.schemas.audit import Action
from app.services.account.notices import Notices
from app.services.audit.redaction import target_of
from app.services.base import BaseService
from app.services.principals import PrincipalCache

log = structlog.get_logger("app.security")


class FactorService(BaseService):
    """Base of the services of second factors.

    Args:
        db: database session of the request.
        principals: cache of principals.
        sends_mail: whether the service sends mail.
    """

    def __init__(self, db: AsyncSession, principals: PrincipalCache, *, sends_mail: bool) -> None:
        super().__init__(db)
        self.mfa = MfaRepository(db)
        self.users = UserRepository(db)
        self.sessions = SessionRepository(db)
        self.notices = Notices(db, is_on=sends_mail)
        self.principals = principals

    async def factor_added(
        self, caller: Principal, user: User, method: str, notice: str
    ) -> list[str]:
        """Record a new factor in the caller's transaction.

        The first one is required from now on: it ends all other sessions, which began without it.

        Returns:
            With the first factor, new recovery codes.
        """
        codes, ended = [], 0
        if not user.has_mfa:
            user.has_mfa = True
            codes = await self.replace_recovery_codes(user.id)
            ended = await self.sessions.end_all(user.id, but=caller.session_id)
        # No confirmation: a new factor does not prove who adds it.
        await self.sessions.add_method(caller.session_id, method)
        facts = {"method": method, "sessions_ended": ended}
        self.audit.record(Action.MFA_ADDED, target_of(user), after=facts)
        await self.notify(user, notice)
        log.info("mfa_added", user=user.id, method=method, sessions_ended=ended)
        return codes

    async def factor_removed(self, user: User, method: str, notice: str) -> None:
        """Record in the caller's transaction that a factor was removed. With the last one the
        recovery codes go."""
        await self.forget_last(user)
        self.audit.record(Action.MFA_REMOVED, target_of(user), after={"method": method})
        await self.notify(user, notice)
        log.info("mfa_removed", user=user.id, method=method)

    async def forget_last(self, user: User) -> None:
        if not await self.mfa.has_factor(user.id):
            await self.mfa.replace_recovery_codes(user.id, [])
            user.has_mfa = False

    async def replace_recovery_codes(self, user_id: int) -> list[str]:
        codes = new_recovery_codes()
        hashes = [recovery_code_hash(user_id, code) for code in codes]
        await self.mfa.replace_recovery_codes(user_id, [code for code in hashes if code])
        return codes

    async def notify(self, user: User, change: str) -> None:
        await self.notices.send("mfa-changed", user.id, user.email, change=change)

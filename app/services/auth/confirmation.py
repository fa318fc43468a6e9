"""`ConfirmationService`: grave actions need a confirmation within the last ten minutes."""

from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.details import DetailCode
from app.core.exceptions import ConfirmationRequiredException, ValidationException
from app.core.sealing import ContentCipher
from app.core.security import PasswordHasher
from app.core.text.normalisation import is_encodable
from app.repositories.mfa import MfaRepository
from app.repositories.session import SessionRepository
from app.repositories.user.repository import UserRepository
from app.schemas.audit import Action, Target
from app.schemas.mfa import Confirmation
from app.schemas.session import Principal
from app.services.auth.codes import CodeChecker
from app.services.base import BaseService

log = structlog.get_logger("app.security")

VALID_FOR = timedelta(minutes=10)
"""Time after a login, or a confirmation, in which grave actions are allowed."""


async def require_confirmation(sessions: SessionRepository, caller: Principal) -> None:
    """
    Raises:
        ConfirmationRequiredException: the caller neither logged in nor confirmed lately.
    """
    if not await sessions.is_confirmed(caller.session_id, VALID_FOR):
        raise ConfirmationRequiredException


class ConfirmationService(BaseService):
    """Confirms sessions, by password or code, and requires it. A login counts as a confirmation.

    Args:
        db: database session of the request.
        passwords: verifies passwords.
        cipher: decrypts the secrets of authenticator apps.
    """

    def __init__(self, db: AsyncSession, passwords: PasswordHasher, cipher: ContentCipher) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.sessions = SessionRepository(db)
        self.codes = CodeChecker(MfaRepository(db), cipher)
        self.passwords = passwords

    async def require(self, caller: Principal) -> None:
        """See `require_confirmation`."""
        await require_confirmation(self.sessions, caller)

    async def confirm(self, caller: Principal, proof: Confirmation) -> datetime:
        """Confirm by what was sent; see `by_password` and `by_code`."""
        if proof.password is not None:
            return await self.by_password(caller, proof.password.get_secret_value())
        code = proof.code.get_secret_value() if proof.code else ""
        return await self.by_code(caller, code)

    async def by_password(
        self, caller: Principal, password: str, field: str = "password"
    ) -> datetime:
        """Confirm the caller's session by their password; until when it counts.

        Raises:
            ValidationException: the password is wrong.
            ServiceUnavailableException: too many hashes are waiting already.
        """
        wrong = _wrong(field, "is not your password", "wrong_password")
        if not is_encodable(password):
            raise wrong
        hashed = await self.users.password_hash(caller.user_id)
        await self.release_connection()
        is_right, _ = await self.passwords.verify(password, hashed)
        if not is_right:
            log.warning("confirmation_failed", user=caller.user_id)
            raise wrong
        async with self.transaction():
            await self._confirm(caller, "pwd")
        return _until(caller)

    async def by_code(self, caller: Principal, code: str, field: str = "code") -> datetime:
        """The same, by a code of their authenticator app, or a recovery code.

        Raises:
            ValidationException: the code is wrong, or was used before.
        """
        async with self.transaction():
            method = await self.codes.use(caller.user_id, code)
            if method is not None:
                await self._confirm(caller, method)
        if method is None:  # after the commit: the failure is counted
            log.warning("confirmation_failed", user=caller.user_id)
            raise _wrong(field, "is wrong, or was used before", "wrong_code")
        return _until(caller)

    async def _confirm(self, caller: Principal, method: str) -> None:
        await self.sessions.confirm(caller.session_id, method)
        target = Target("session", caller.session_id)
        facts = {"method": method}
        self.audit.record(Action.CONFIRMED, target, user_id=caller.user_id, after=facts)


def _wrong(field: str, message: str, code: DetailCode) -> ValidationException:
    return ValidationException(details=[{"field": field, "message": message, "code": code}])


def _until(caller: Principal) -> datetime:
    log.info("confirmed", user=caller.user_id, session=str(caller.session_id))
    return datetime.now(UTC) + VALID_FOR

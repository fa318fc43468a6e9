"""`ConfirmationService`: grave actions need a confirmation within the last ten minutes."""

from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.details import DetailCode
from app.core.device import Device
from app.core.exceptions import ValidationException
from app.core.security.sealing import ContentCipher
from app.core.text.normalisation import is_encodable
from app.repositories.access.mfa import MfaRepository
from app.repositories.session import SessionRepository
from app.repositories.user.repository import UserRepository
from app.schemas.access.mfa import Confirmation
from app.schemas.access.session import Principal
from app.services.auth.codes import CodeChecker, looks_like_code
from app.services.auth.passkey_login import PasskeyLoginService
from app.services.auth.session_confirmation import (
    VALID_FOR,
    record_confirmation,
    require_confirmation,
)
from app.services.base import BaseService
from app.services.guesses import PasswordGuesses

log = structlog.get_logger("app.security")


class ConfirmationService(BaseService):
    """Confirms sessions, by password or code, and requires it. A login counts as a confirmation.

    Args:
        db: database session of the request.
        guesses: verifies passwords.
        cipher: decrypts the secrets of authenticator apps.
        passkeys: verifies passkeys.
    """

    def __init__(
        self,
        db: AsyncSession,
        guesses: PasswordGuesses,
        cipher: ContentCipher,
        passkeys: PasskeyLoginService,
    ) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.sessions = SessionRepository(db)
        self.codes = CodeChecker(MfaRepository(db), cipher)
        self.guesses = guesses
        self.passkeys = passkeys

    async def require(self, caller: Principal) -> None:
        """See `require_confirmation`."""
        await require_confirmation(self.sessions, caller)

    async def is_confirmed(self, caller: Principal) -> bool:
        """Whether the caller logged in or confirmed lately."""
        return await self.sessions.is_confirmed(caller.session_id, VALID_FOR)

    async def confirm(self, caller: Principal, proof: Confirmation, device: Device) -> datetime:
        """Confirm by what was sent: see `by_password`, `by_code`, `PasskeyLoginService.confirm`."""
        if proof.passkey is not None:
            return await self.passkeys.confirm(caller, proof.passkey)
        if proof.password is not None:
            return await self.by_password(caller, proof.password.get_secret_value(), device)
        code = proof.code.get_secret_value() if proof.code else ""
        return await self.by_code(caller, code)

    async def by_password_or_code(self, caller: Principal, proof: str, device: Device) -> datetime:
        """Confirm by what was typed into one field: what looks like a code is one."""
        if caller.user.has_mfa and looks_like_code(proof):
            return await self.by_code(caller, proof, "proof")
        return await self.by_password(caller, proof, device, "proof")

    async def by_password(
        self, caller: Principal, password: str, device: Device, field: str = "password"
    ) -> datetime:
        """Confirm the caller's session by their password; until when it counts.

        Raises:
            ValidationException: the password is wrong.
            RateLimitExceeded: too many wrong passwords.
            ServiceUnavailableException: too many hashes are waiting already.
        """
        wrong = _wrong(field, "is not your password", "wrong_password")
        if not is_encodable(password):
            raise wrong
        hashed = await self.users.password_hash(caller.user_id)
        await self.release_connection()
        if not await self.guesses.of_caller(caller, password, hashed, device):
            log.warning("confirmation_failed", user=caller.user_id)
            raise wrong
        async with self.transaction():
            return await record_confirmation(self.sessions, self.audit, caller, "pwd")

    async def by_code(self, caller: Principal, code: str, field: str = "code") -> datetime:
        """The same, by a code of their authenticator app, or a recovery code.

        Raises:
            ValidationException: the code is wrong, or was used before.
        """
        async with self.transaction():
            method = await self.codes.use(caller.user_id, code)
            if method is not None:
                return await record_confirmation(self.sessions, self.audit, caller, method)
        # After the commit: the failure is counted.
        log.warning("confirmation_failed", user=caller.user_id)
        raise _wrong(field, "is wrong, or was used before", "wrong_code")


def _wrong(field: str, message: str, code: DetailCode) -> ValidationException:
    return ValidationException(details=[{"field": field, "message": message, "code": code}])

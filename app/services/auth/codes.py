"""`CodeChecker`: checks the codes of second factors, each of which is used once."""

import re

import structlog

from app.core.security.mfa.recovery_codes import recovery_code_hash
from app.core.security.mfa.totp import matching_step
from app.core.security.sealing import ContentCipher
from app.repositories.access.mfa import MAX_FAILURES, MfaRepository

log = structlog.get_logger("app.security")


def looks_like_code(text: str) -> bool:
    """Whether a text has the form of a code; no password may be so short, or so regular."""
    is_of_app = re.fullmatch(r"\s*([0-9]\s*){6}", text) is not None
    return is_of_app or recovery_code_hash(0, text) is not None


class CodeChecker:
    """Checks codes in the caller's transaction, which has to be committed in either case: it uses
    the code up, or counts the failure.

    Args:
        mfa: of the caller.
        cipher: decrypts the secrets of authenticator apps.
    """

    def __init__(self, mfa: MfaRepository, cipher: ContentCipher) -> None:
        self._mfa = mfa
        self._cipher = cipher

    async def use(self, user_id: int, code: str) -> str | None:
        """Use a code of the authenticator app, or a recovery code.

        Returns:
            `otp` or `recovery`; None where the code is wrong, too old, or was used before.
        """
        hashed = recovery_code_hash(user_id, code)
        if hashed is not None:
            return await self._use_recovery_code(user_id, hashed)
        totp = await self._mfa.totp(user_id)
        secret = totp and totp.confirmed_at and self.open(user_id, totp.secret)
        step = matching_step(secret, code) if secret else None
        if step is not None and await self._mfa.use_step(user_id, step):
            return "otp"
        if secret:
            await self._mfa.count_failure(user_id)
            if totp is not None and totp.failures + 1 == MAX_FAILURES:
                log.warning("mfa_blocked", user=user_id, failures=MAX_FAILURES)
        return None

    async def _use_recovery_code(self, user_id: int, hashed: bytes) -> str | None:
        if not await self._mfa.use_recovery_code(user_id, hashed):
            return None
        await self._mfa.forgive_failures(user_id)
        log.info("recovery_code_used", user=user_id)
        return "recovery"

    def seal(self, user_id: int, secret: str) -> bytes:
        """The secret of an app, encrypted with its user: it is of no use in another user's row."""
        return self._cipher.seal(f"{user_id}:{secret}".encode())

    def open(self, user_id: int, sealed: bytes) -> str | None:
        """The secret; None where the key is not accepted any more, or the row was changed."""
        content = self._cipher.unseal(sealed)
        owner, _, secret = content.decode().partition(":") if content else ("", "", "")
        if owner == str(user_id):
            return secret
        log.error("totp_unreadable", user=user_id)
        return None

    @property
    def key_id(self) -> str:
        return self._cipher.key_id

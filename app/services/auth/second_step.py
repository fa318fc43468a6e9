"""`SecondStepService`: the second step of a login, by a code."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.device import Device
from app.core.exceptions import (
    ForbiddenException,
    TokenInvalidException,
    TokenRevokedException,
    WrongCodeException,
)
from app.core.security import AccessToken, TokenSigner
from app.core.security.sealing import ContentCipher
from app.core.security.tokens import MFA_TTL
from app.repositories.access.mfa import MfaRepository
from app.repositories.session import SessionRepository
from app.repositories.user.repository import Credentials, UserRepository
from app.schemas.audit import Action, Target
from app.services.auth.codes import CodeChecker
from app.services.auth.issuing import Begun, PageLogin, SessionIssuer, Tokens
from app.services.base import BaseService

log = structlog.get_logger("app.security")


@dataclass(frozen=True, slots=True)
class MfaChallenge:
    """The result of a login's first step, where a second one is required.

    Attributes:
        expires_in: lifetime of the token in seconds.
        device_token: none before the login is complete.
    """

    mfa_token: str
    mfa_methods: Sequence[str]
    expires_in: int
    device_token: None = None


class SecondStepService(BaseService):
    """Issues the token of the second step, and takes it with a code.

    The token is bound to the client's user agent and to the password. Not to its address: browsers
    change between IPv4 and IPv6, and phones between networks, within a minute.

    Args:
        db: database session of the request.
        tokens: signs and verifies tokens.
        cipher: decrypts the secrets of authenticator apps.
        settings: lifetimes of sessions.
        sends_mail: whether the service sends mail.
    """

    def __init__(
        self,
        db: AsyncSession,
        tokens: TokenSigner,
        cipher: ContentCipher,
        settings: AuthSettings,
        *,
        sends_mail: bool,
    ) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.mfa = MfaRepository(db)
        self.codes = CodeChecker(self.mfa, cipher)
        sessions = SessionRepository(db)
        self.issuer = SessionIssuer(sessions, tokens, settings, sends_mail=sends_mail)
        self._signer = tokens

    async def challenge(self, user: Credentials, device: Device) -> MfaChallenge:
        """The token for the second step of a login whose password was right."""
        binding = _binding(user, device)
        token = self._signer.sign(user.id, uuid4(), "mfa", binding)
        return MfaChallenge(token, await self.mfa.methods(user.id), MFA_TTL)

    async def log_in(self, mfa_token: str, code: str, device: Device) -> Tokens:
        """Begin a session by a second factor.

        Args:
            mfa_token: of the first step.
            code: of the authenticator app, or a recovery code.
            device: of the client, the same as in the first step.

        Raises:
            UnauthorizedException: the token is not valid, was used before, or is another client's.
            WrongCodeException: the code is wrong, or was used before.
        """
        return self.issuer.tokens(await self._log_in(mfa_token, code, device))

    async def log_in_to_page(
        self, mfa_token: str, code: str, device: Device, *, needs_role: bool = True
    ) -> PageLogin:
        """The same for the pages.

        Raises:
            ForbiddenException: the user needs a role, and is no superuser and has none; no session
                began.
        """
        begun = await self._log_in(mfa_token, code, device, needs_role=needs_role)
        return self.issuer.page_login(begun)

    async def _log_in(
        self, mfa_token: str, code: str, device: Device, *, needs_role: bool = False
    ) -> Begun:
        token = self._signer.read(mfa_token, "mfa")
        found = await self.users.credentials_of(token.user_id)
        if found is None or not hmac.compare_digest(token.binding, _binding(found, device)):
            raise TokenInvalidException
        if needs_role and not found.may_use_pages:
            raise ForbiddenException("Your account may not use these pages")
        begun = None
        async with self.transaction():
            if not await self.users.lock_unchanged(found):
                raise TokenRevokedException
            method = await self.codes.use(found.id, code)
            if method is not None:
                await self._spend(token)
                begun = await self.issuer.begin(found, device, ("pwd", method, "mfa"))
        # Recorded first, refused after: a raise inside would roll back the count of failures.
        if begun is None:
            log.warning("mfa_failed", user=found.id, address=device.address)
            self.audit.refuse(Action.LOGIN_FAILED, Target("user", found.id), after={"step": 2})
            raise WrongCodeException
        log.info("login", user=found.id, address=device.address)
        return begun

    async def _spend(self, token: AccessToken) -> None:
        """
        Raises:
            TokenRevokedException: the token was used before. The code stays unused.
        """
        expires_at = datetime.now(UTC) + timedelta(seconds=MFA_TTL)
        if not await self.mfa.spend(sha256(token.session_id.bytes).digest(), expires_at):
            raise TokenRevokedException("This login is complete already")


def _binding(user: Credentials, device: Device) -> str:
    """A new password, or another client, makes the token void."""
    bound = f"{user.hashed_password}\n{device.user_agent or ''}"
    return sha256(bound.encode(errors="replace")).hexdigest()[:32]

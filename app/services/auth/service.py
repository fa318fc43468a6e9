"""Login, token refresh and password change."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.details import DetailCode
from app.core.device import Device
from app.core.exceptions import (
    AppException,
    ForbiddenException,
    MfaRequiredException,
    TokenRevokedException,
    UnauthorizedException,
    ValidationException,
)
from app.core.security import PasswordHasher, RefreshToken, TokenSigner
from app.core.security.known_devices import KnownDevices
from app.core.security.passwords.policy import PasswordPolicy
from app.core.security.sealing import ContentCipher
from app.core.text.normalisation import is_encodable, is_storable
from app.database import translated_errors
from app.models import Session
from app.repositories.session import SessionRepository
from app.repositories.user.activity import UserActivityRepository, is_new_day
from app.repositories.user.repository import UserRepository
from app.schemas.access.session import Principal
from app.schemas.audit import Action, Target
from app.services.account.notices import Notices
from app.services.account.tokens import OneTimeTokens
from app.services.account.verification import VerifiedLogins
from app.services.auth.issuing import Begun, PageLogin, SessionIssuer, Tokens
from app.services.auth.second_step import MfaChallenge, SecondStepService
from app.services.base import BaseService
from app.services.guesses import PasswordGuesses
from app.services.principals import PrincipalCache
from app.services.session import expiry

log = structlog.get_logger("app.security")
database_log = structlog.get_logger("app.database")


class AuthService(BaseService):
    """Authentication: begins sessions and issues their tokens.

    Args:
        db: database session of the request.
        passwords: hashes passwords.
        guesses: verifies passwords.
        policy: refuses weak passwords.
        tokens: signs and verifies access tokens.
        principals: cache of principals.
        cipher: decrypts the secrets of authenticator apps.
        settings: lifetimes of sessions.
        sends_mail: whether the service sends mail.
    """

    def __init__(
        self,
        db: AsyncSession,
        passwords: PasswordHasher,
        guesses: PasswordGuesses,
        policy: PasswordPolicy,
        tokens: TokenSigner,
        principals: PrincipalCache,
        cipher: ContentCipher,
        settings: AuthSettings,
        *,
        sends_mail: bool = False,
    ) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.sessions = SessionRepository(db)
        self.activity = UserActivityRepository(db)
        self.passwords = passwords
        self.guesses = guesses
        self.devices = KnownDevices(tokens)
        self.policy = policy
        self.tokens = tokens
        self.principals = principals
        self.settings = settings
        self.one_time_tokens = OneTimeTokens(db, settings)
        self.notices = Notices(db, is_on=sends_mail)
        self.issuer = SessionIssuer(self.sessions, tokens, settings, sends_mail=sends_mail)
        self.second_step = SecondStepService(db, tokens, cipher, settings, sends_mail=sends_mail)
        self.verified_logins = VerifiedLogins(db, settings, sends_mail=sends_mail)

    async def login(self, login: str, password: str, device: Device) -> Tokens | MfaChallenge:
        """Begin a session, or where the user has a second factor, the second step of the login.

        An unknown account, a wrong password and a disabled account cost one hash each and give the
        same error.

        Args:
            login: an email, or a username.

        Raises:
            ValidationException: login or password contain characters that cannot be stored.
            UnauthorizedException: no active user has these credentials.
            EmailUnverifiedException: the user has to verify the email first.
            RateLimitExceeded: too many wrong passwords, see `PasswordGuesses`.
            ServiceUnavailableException: too many logins are waiting already.
        """
        begun = await self._log_in(login, password, device)
        return begun if isinstance(begun, MfaChallenge) else self.issuer.tokens(begun)

    async def login_in_one_step(self, login: str, password: str, device: Device) -> Tokens:
        """The same for clients that know one step only.

        Raises:
            MfaRequiredException: the user has a second factor; the error has what the second step
                needs.
        """
        begun = await self.login(login, password, device)
        if isinstance(begun, MfaChallenge):
            raise MfaRequiredException(
                {
                    "mfa_token": begun.mfa_token,
                    "mfa_methods": " ".join(begun.mfa_methods),
                    "expires_in": str(begun.expires_in),
                }
            )
        return begun

    async def log_in_to_page(
        self, login: str, password: str, device: Device, *, needs_role: bool = True
    ) -> PageLogin | MfaChallenge:
        """Begin a session of the pages.

        It is an ordinary session, without a refresh token. Where the user has a second factor, the
        second step of the login is returned.

        Args:
            login: an email, or a username.
            needs_role: whether the pages are those of administrators.

        Raises:
            ValidationException: login or password contain characters that cannot be stored.
            UnauthorizedException: no active user has these credentials.
            ForbiddenException: the user needs a role, and is no superuser and has none; or has to
                verify the email first. No session began.
            RateLimitExceeded: too many wrong passwords.
            ServiceUnavailableException: too many logins are waiting already.
        """
        begun = await self._log_in(login, password, device, needs_role=needs_role)
        return begun if isinstance(begun, MfaChallenge) else self.issuer.page_login(begun)

    async def _log_in(
        self, login: str, password: str, device: Device, *, needs_role: bool = False
    ) -> Begun | MfaChallenge:
        # First, before any step that depends on whether the account exists.
        if not is_storable(login):
            raise _invalid("username", "should be valid Unicode text without U+0000", "malformed")
        _refuse_unencodable("password", password)
        found = await self.users.credentials(login)
        await self.release_connection()
        is_right, renewed = await self.guesses.login(login, password, found, device)
        if found is None or not is_right:
            log.warning("login_failed", user=found and found.id, address=device.address)
            account = Target("user", found.id) if found else None
            self.audit.refuse(Action.LOGIN_FAILED, account)
            raise UnauthorizedException("Incorrect email or password")
        if needs_role and not found.may_use_pages:
            log.warning("login_refused", user=found.id, address=device.address)
            self.audit.refuse(Action.LOGIN_FAILED, Target("user", found.id), outcome="refused")
            raise ForbiddenException("Your account may not use these pages")
        await self.verified_logins.require(found)
        begun = None
        async with self.transaction():
            # Locked, so that any later end of the user's sessions includes this one.
            if await self.users.lock_unchanged(found):
                if renewed is not None:
                    await self.users.replace_hash(found.id, found.hashed_password, renewed)
                    found = found._replace(hashed_password=renewed)
                if found.has_mfa:
                    return await self.second_step.challenge(found, device)
                begun = await self.issuer.begin(found, device)
        if begun is None:  # the user changed after the verification
            return await self._log_in(login, password, device, needs_role=needs_role)
        log.info("login", user=found.id, address=device.address)
        must_enrol = self.settings.requires_mfa(is_superuser=found.is_superuser)
        return replace(begun, mfa_enrolment_required=must_enrol)

    async def refresh(self, refresh_token: str) -> Tokens:
        """Exchange a refresh token for a new pair.

        The last used token may be repeated, by a second tab or after a lost response, until its
        successor is used; the successor then becomes invalid. An older token may have been stolen,
        or its successor may: the session ends for both clients.

        Raises:
            UnauthorizedException: the token is not authentic or not valid. If it was used before,
                its session has ended when this is raised.
        """
        token = self.tokens.refresh.read(refresh_token)
        tokens, ended, seen = None, False, None
        async with self.transaction():
            session = await self.sessions.lock_live(token.session_id)
            if session is not None:
                is_current = compare_digest(session.refresh_hash, token.hash)
                if is_current:
                    session.previous_hash = session.refresh_hash
                    session.rotated_at = datetime.now(UTC)
                    session.generation += 1
                if is_current or _is_repeat(session, token):
                    seen = session.user_id if is_new_day(session.last_seen_at) else None
                    tokens = self._renew(session)
                elif not self._has_just_been_voided(session, token):
                    ended = await self.sessions.end(session.id, session.user_id)
                    self._record_reuse(session)
        if ended:
            log.warning("refresh_token_reused", session=str(token.session_id))
            await self.principals.end_sessions([token.session_id])
        # Recorded first, refused after: a raise inside would roll back the end.
        if tokens is None:
            raise TokenRevokedException
        if seen is not None:
            await self._record_new_day(token.session_id, seen)
        return tokens

    async def _record_new_day(self, session_id: UUID, user_id: int) -> None:
        """Record the first use of a session on a day: not while the session is locked, see
        `UserActivityRepository.record`.

        A failure is logged only, since the client needs the tokens. The session's last use is then
        still of an earlier day, so that the next refresh or request records the day.
        """
        try:
            with translated_errors():
                async with self.transaction():
                    await self.activity.record(user_id)
                    await self.sessions.touch(session_id)
        except (AppException, OSError) as error:
            database_log.warning("activity_not_recorded", user=user_id, reason=repr(error))

    def _record_reuse(self, session: Session) -> None:
        self.audit.record(
            Action.SESSION_REUSED,
            Target("session", session.id),
            user_id=session.user_id,
            outcome="refused",
        )

    def _renew(self, session: Session) -> Tokens:
        """A new pair of tokens, which replaces the valid one."""
        renewed = self.tokens.refresh.new(session.id, session.generation)
        session.refresh_hash = self.tokens.refresh.read(renewed).hash
        if not is_new_day(session.last_seen_at):  # otherwise see `_record_new_day`
            session.last_seen_at = datetime.now(UTC)
        session.expires_at = expiry(self.settings, session.created_at)
        return self.issuer.tokens(Begun(session.user_id, session.id, renewed))

    def _has_just_been_voided(self, session: Session, token: RefreshToken) -> bool:
        """Whether the token was superseded by a repeat within the grace period: it is a successor
        of the last used token, or of the one before. The period begins with the first exchange and
        is not extended by repeats; after it, the token counts as stolen."""
        of_late = session.generation - 1, session.generation
        if session.rotated_at is None or token.generation not in of_late:
            return False
        grace = timedelta(seconds=self.settings.refresh_grace)
        # In both directions: if the clock was set back, the period would last longer.
        return abs(datetime.now(UTC) - session.rotated_at) <= grace

    async def change_password(
        self, caller: Principal, current: str, new: str, device: Device
    ) -> str:
        """Replace the caller's password, end all of their other sessions, and void the links in
        mails, and the tokens of known devices.

        Returns:
            A new token of this device.

        Raises:
            ValidationException: the current password is wrong, or the new one too weak.
            RateLimitExceeded: too many wrong passwords.
            ServiceUnavailableException: too many hashes are waiting already.
        """
        user = caller.user
        _refuse_unencodable("current_password", current)
        hashed = await self.users.password_hash(user.id)
        await self.release_connection()
        is_right = await self.guesses.of_caller(caller, current, hashed, device)
        wrong = _invalid("current_password", "is not the current password", "wrong_password")
        if not is_right or hashed is None:
            raise wrong
        if reason := await self.policy.refusal(new, user.email, user.username, user.full_name):
            raise _invalid("new_password", reason, "weak_password")
        renewed = await self.passwords.hash(new)
        async with self.transaction():
            if not await self.users.replace_hash(user.id, hashed, renewed):
                raise wrong
            ended = await self.sessions.end_all(user.id, but=caller.session_id)
            await self.one_time_tokens.void_all(user.id)
            facts = {"sessions_ended": ended}
            self.audit.record(Action.PASSWORD_CHANGED, Target("user", user.id), after=facts)
            await self.notices.send_password_changed(user.id, user.email)
        await self.principals.forget_user(user.id)
        log.info("password_changed", user=user.id, sessions_ended=ended)
        return self.devices.token(user.id, renewed)


def _refuse_unencodable(field: str, password: str) -> None:
    if not is_encodable(password):
        raise _invalid(field, "should be valid Unicode text", "malformed")


def _is_repeat(session: Session, token: RefreshToken) -> bool:
    """Whether the token is the last used one, and so its successor was never used."""
    last = session.previous_hash
    return last is not None and compare_digest(last, token.hash)


def _invalid(field: str, message: str, code: DetailCode) -> ValidationException:
    return ValidationException(details=[{"field": field, "message": message, "code": code}])

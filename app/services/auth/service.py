"""Logging in, and staying in."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.device import Device
from app.core.exceptions import (
    ForbiddenException,
    UnauthorizedException,
    ValidationException,
)
from app.core.normalisation import is_encodable, is_storable
from app.core.security import (
    PasswordHasher,
    RefreshToken,
    TokenSigner,
)
from app.core.security.passwords import weakness
from app.models import Session
from app.repositories.session import SessionRepository
from app.repositories.user.repository import UserRepository
from app.schemas.session import Principal
from app.services.base import BaseService
from app.services.principals import PrincipalCache
from app.services.session import expiry

log = structlog.get_logger("app.security")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login or a refresh gives. `expires_in`: seconds the access token is valid."""

    access_token: str
    refresh_token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class _Begun:
    """A session that has just begun."""

    user_id: int
    session_id: UUID
    refresh_token: str


class AuthService(BaseService):
    """Sessions and the tokens that stand for them.

    Args:
        db: the request's session.
        passwords: verifies them.
        tokens: signs and reads access tokens.
        principals: remembers who is behind them.
        settings: how long sessions live, and how short a password may be.
        app_name: the service's, which is no password.
    """

    def __init__(
        self,
        db: AsyncSession,
        passwords: PasswordHasher,
        tokens: TokenSigner,
        principals: PrincipalCache,
        settings: AuthSettings,
        app_name: str = "",
    ) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.sessions = SessionRepository(db)
        self.passwords = passwords
        self.tokens = tokens
        self.principals = principals
        self.settings = settings
        self.app_name = app_name

    async def login(self, login: str, password: str, device: Device) -> Tokens:
        """Begin a session.

        An unknown account, a wrong password and a disabled account cost one hash each and are
        told alike.

        Args:
            login: an email, or a username.

        Raises:
            ValidationException: they hold what can be neither hashed nor looked up.
            UnauthorizedException: no active user has these credentials.
            ServiceUnavailableException: too many logins are waiting already.
        """
        begun = await self._log_in(login, password, device)
        return self._tokens(begun.user_id, begun.session_id, begun.refresh_token)

    async def log_in_to_page(self, login: str, password: str, device: Device) -> str:
        """Begin a session of the admin page; the token for its cookie.

        It is a session like any other, whose refresh token nobody gets.

        Args:
            login: an email, or a username.

        Raises:
            ValidationException: they hold what can be neither hashed nor looked up.
            UnauthorizedException: no active user has these credentials.
            ForbiddenException: a plain user has; no session began.
            ServiceUnavailableException: too many logins are waiting already.
        """
        begun = await self._log_in(login, password, device, is_for_superusers=True)
        return self.tokens.sign(begun.user_id, begun.session_id, "page")

    async def _log_in(
        self, login: str, password: str, device: Device, *, is_for_superusers: bool = False
    ) -> _Begun:
        # Before anything that differs between accounts that exist and others.
        if not is_storable(login):
            raise _invalid("username", "should be valid Unicode text without U+0000")
        _refuse_unencodable("password", password)
        found = await self.users.credentials(login)
        await self.release_connection()
        is_right, renewed = await self.passwords.verify(
            password, found.hashed_password if found else None
        )
        if found is None or not is_right or not found.is_active:
            log.warning("login_failed", user=found and found.id, address=device.address)
            raise UnauthorizedException("Incorrect email or password")
        if is_for_superusers and not found.is_superuser:
            log.warning("login_refused", user=found.id, address=device.address)
            raise ForbiddenException("This page is for superusers only")
        begun = None
        async with self.transaction():
            # Locked, so that whatever ends the user's sessions from now on ends this one too.
            if await self.users.lock_unchanged(found.id, found.hashed_password):
                if renewed is not None:
                    await self.users.replace_hash(found.id, found.hashed_password, renewed)
                begun = await self._begin_session(found.id, device)
        if begun is None:  # what was verified no longer holds
            return await self._log_in(login, password, device, is_for_superusers=is_for_superusers)
        log.info("login", user=found.id, address=device.address)
        return begun

    async def _begin_session(self, user_id: int, device: Device) -> _Begun:
        session_id = uuid4()
        refresh_token = self.tokens.refresh.new(session_id)
        await self.sessions.begin(
            Session(
                id=session_id,
                user_id=user_id,
                refresh_hash=self.tokens.refresh.read(refresh_token).hash,
                user_agent=device.user_agent and device.user_agent[:255],
                address=device.address,
                expires_at=expiry(self.settings, datetime.now(UTC)),
            )
        )
        return _Begun(user_id, session_id, refresh_token)

    async def refresh(self, refresh_token: str) -> Tokens:
        """Exchange a refresh token for a new pair.

        The token used last may come again, from a second tab or because its answer got lost, while
        what it was exchanged for has not been used: that one is void then. Whoever comes with an
        older token may be a thief, or may be the owner after a theft: the session ends for both.

        Raises:
            UnauthorizedException: the token is none of ours, or not one that holds. Where it was
                used before, its session has ended when this is raised.
        """
        token = self.tokens.refresh.read(refresh_token)
        tokens, ended = None, False
        async with self.transaction():
            session = await self.sessions.lock_live(token.session_id)
            if session is not None:
                is_current = compare_digest(session.refresh_hash, token.hash)
                if is_current:
                    session.previous_hash = session.refresh_hash
                    session.rotated_at = datetime.now(UTC)
                    session.generation += 1
                if is_current or _is_repeat(session, token):
                    tokens = self._renew(session)
                elif not self._has_just_been_voided(session, token):
                    ended = await self.sessions.end(session.id, session.user_id)
        if ended:
            log.warning("refresh_token_reused", session=str(token.session_id))
            await self.principals.end_sessions([token.session_id])
        # Recorded first, refused after: a raise inside would undo the end (decision 2).
        if tokens is None:
            raise UnauthorizedException("Invalid refresh token")
        return tokens

    def _renew(self, session: Session) -> Tokens:
        """Another pair, in place of the one that held."""
        renewed = self.tokens.refresh.new(session.id, session.generation)
        session.refresh_hash = self.tokens.refresh.read(renewed).hash
        session.last_seen_at = datetime.now(UTC)
        session.expires_at = expiry(self.settings, session.created_at)
        return self._tokens(session.user_id, session.id, renewed)

    def _has_just_been_voided(self, session: Session, token: RefreshToken) -> bool:
        """Whether the token lost against a repeat a moment ago: it is of those that the token used
        last, or the one before it, was exchanged for. After the grace, which begins with the first
        exchange and which no repeat renews, it is a thief's."""
        of_late = session.generation - 1, session.generation
        if session.rotated_at is None or token.generation not in of_late:
            return False
        grace = timedelta(seconds=self.settings.refresh_grace)
        # Either way: by a clock that was set back, the grace would last longer.
        return abs(datetime.now(UTC) - session.rotated_at) <= grace

    def _tokens(self, user_id: int, session_id: UUID, refresh_token: str) -> Tokens:
        access_token = self.tokens.sign(user_id, session_id)
        return Tokens(access_token, refresh_token, self.tokens.access_ttl)

    async def change_password(self, caller: Principal, current: str, new: str) -> None:
        """Replace the caller's password, and end all sessions but theirs.

        Raises:
            ValidationException: the current password is wrong, or the new one too weak.
            ServiceUnavailableException: too many hashes are waiting already.
        """
        user = caller.user
        _refuse_unencodable("current_password", current)
        hashed = await self.users.password_hash(user.id)
        await self.release_connection()
        is_right, _ = await self.passwords.verify(current, hashed)
        wrong = _invalid("current_password", "is not the current password")
        if not is_right or hashed is None:
            raise wrong
        known = user.email, user.username, self.app_name
        if reason := weakness(new, self.settings.password_min_length, *known):
            raise _invalid("new_password", reason)
        renewed = await self.passwords.hash(new)
        async with self.transaction():
            if not await self.users.replace_hash(user.id, hashed, renewed):
                raise wrong
            ended = await self.sessions.end_all(user.id, but=caller.session_id)
        await self.principals.forget_user(user.id)
        log.info("password_changed", user=user.id, sessions_ended=ended)


def _refuse_unencodable(field: str, password: str) -> None:
    if not is_encodable(password):
        raise _invalid(field, "should be valid Unicode text")


def _is_repeat(session: Session, token: RefreshToken) -> bool:
    """Whether the token is the one used last. What it was exchanged for was never used: that would
    have become the one used last."""
    last = session.previous_hash
    return last is not None and compare_digest(last, token.hash)


def _invalid(field: str, message: str) -> ValidationException:
    return ValidationException(details=[{"field": field, "message": message}])

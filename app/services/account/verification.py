"""Verification of emails: `VerificationMails` sends links, `VerificationService` takes them, and
`VerifiedLogins` requires it."""

from datetime import UTC, datetime
from typing import NoReturn

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.exceptions import EmailUnverifiedException, ServiceUnavailableException
from app.repositories.background.jobs import JobQueue
from app.repositories.user.repository import Credentials
from app.schemas.account import Purpose
from app.schemas.audit import Action, Target
from app.schemas.background.mail import SendMail
from app.services.account.tokens import OneTimeTokens, invalid_token
from app.services.audit.redaction import target_of
from app.services.base import BaseService
from app.services.principals import PrincipalCache

log = structlog.get_logger("app.security")


class VerificationMails:
    """Enqueues mails with a link to verify an email, in the caller's transaction.

    Args:
        db: the caller's session.
        settings: whether emails are verified.
        sends_mail: whether the service sends mail.
    """

    def __init__(self, db: AsyncSession, settings: AuthSettings, *, sends_mail: bool) -> None:
        self._queue = JobQueue(db)
        self._settings = settings
        self.sends_mail = sends_mail

    @property
    def is_required(self) -> bool:
        """Whether users log in only after they have verified their email."""
        return self._settings.is_verification_required

    async def send(self, user_id: int) -> None:
        """Mail a link to a user whose email is new, unless verification is off."""
        if self._settings.email_verification != "off" and self.sends_mail:
            await self.send_anyway(user_id)

    async def send_anyway(self, user_id: int) -> None:
        """Mail a link to a user. The job issues the token, once a minute, and unless the email is
        verified."""
        await self._queue.enqueue(SendMail(mail="email-verification", user_id=user_id))


class VerifiedLogins(BaseService):
    """Refuses logins of users who have to verify their email first.

    Args:
        db: the request's session.
        settings: whether they have to.
        sends_mail: whether the service sends mail.
    """

    def __init__(self, db: AsyncSession, settings: AuthSettings, *, sends_mail: bool) -> None:
        super().__init__(db)
        self.mails = VerificationMails(db, settings, sends_mail=sends_mail)

    def are_open_to(self, user: Credentials) -> bool:
        return not self.mails.is_required or user.email_verified_at is not None

    async def require(self, user: Credentials) -> None:
        """
        Raises:
            EmailUnverifiedException: see `refuse`.
        """
        if not self.are_open_to(user):
            await self.refuse(user)

    async def refuse(self, user: Credentials) -> NoReturn:
        """Refuse a user who has proved who they are, and mail the link again.

        Raises:
            EmailUnverifiedException: always.
        """
        async with self.transaction():
            await self.mails.send(user.id)
        log.warning("login_unverified", user=user.id)
        self.audit.refuse(Action.LOGIN_FAILED, Target("user", user.id), outcome="refused")
        raise EmailUnverifiedException


class VerificationService(BaseService):
    """Verification of emails, by the user who has the link.

    Args:
        db: the request's session.
        principals: the cache of principals, whose users change.
        settings: whether emails are verified.
        sends_mail: whether the service sends mail.
    """

    def __init__(
        self,
        db: AsyncSession,
        principals: PrincipalCache,
        settings: AuthSettings,
        *,
        sends_mail: bool,
    ) -> None:
        super().__init__(db)
        self.tokens = OneTimeTokens(db, settings)
        self.mails = VerificationMails(db, settings, sends_mail=sends_mail)
        self.principals = principals
        self.sends_mail = sends_mail

    async def request(self, user_id: int) -> None:
        """Mail a link to the caller, unless their email is verified.

        Raises:
            ServiceUnavailableException: the service sends no mail.
        """
        check_mail(sends_mail=self.sends_mail)
        async with self.transaction():
            await self.mails.send_anyway(user_id)

    async def verify(self, token: str) -> None:
        """Mark the email as verified to which the token was sent.

        Raises:
            ValidationException: the token is not valid.
        """
        presented = await self.tokens.present(token, Purpose.EMAIL_VERIFICATION)
        async with self.transaction():
            spent = await self.tokens.spend(presented)
            if spent is not None:
                user, _ = spent
                user.email_verified_at = datetime.now(UTC)
                self.audit.record(Action.EMAIL_VERIFIED, target_of(user))
        if spent is None:
            raise invalid_token()
        await self.principals.forget_user(presented.user_id)
        log.info("email_verified", user=presented.user_id)


def check_mail(*, sends_mail: bool) -> None:
    """
    Raises:
        ServiceUnavailableException: the service sends no mail.
    """
    if not sends_mail:
        raise ServiceUnavailableException("The service sends no mail (MAIL_URL)")

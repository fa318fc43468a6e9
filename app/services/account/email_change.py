"""`EmailChangeService`: a new email, confirmed at the new address and undone from the old one."""

from datetime import UTC, datetime
from uuid import uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.details import DetailCode
from app.core.device import Device
from app.core.exceptions import ValidationException
from app.core.text.normalisation import has_special_use_domain
from app.models import User
from app.models.access.one_time_token import OneTimeToken
from app.repositories.background.jobs import JobQueue
from app.repositories.session import SessionRepository
from app.repositories.user.repository import UserRepository
from app.schemas.access.session import Principal
from app.schemas.account import Purpose
from app.schemas.audit import Action
from app.schemas.background.mail import SendMail
from app.services.account.notices import moment_in_words
from app.services.account.restoration import AccountRestoration
from app.services.account.tokens import OneTimeTokens, invalid_token
from app.services.account.verification import check_mail
from app.services.audit.redaction import target_of
from app.services.base import BaseService
from app.services.guesses import PasswordGuesses
from app.services.principals import PrincipalCache

log = structlog.get_logger("app.security")


class EmailChangeService(BaseService):
    """Changes of users' own emails.

    Args:
        db: the request's session.
        guesses: verifies passwords.
        principals: the cache of principals, whose users change.
        settings: accepted domains of an email.
        sends_mail: whether the service sends mail.
    """

    def __init__(
        self,
        db: AsyncSession,
        guesses: PasswordGuesses,
        principals: PrincipalCache,
        settings: AuthSettings,
        *,
        sends_mail: bool,
    ) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.sessions = SessionRepository(db)
        self.tokens = OneTimeTokens(db, settings)
        self.restoration = AccountRestoration(db, principals)
        self.queue = JobQueue(db)
        self.guesses = guesses
        self.principals = principals
        self.settings = settings
        self.sends_mail = sends_mail

    async def request(self, caller: Principal, email: str, password: str, device: Device) -> None:
        """Mail a link to the new address; the email stays until it is used.

        An address that has an account gets no mail, which only the job looks up: the result is the
        same. Nor does one that was sent a link within the last minute, which stays valid.

        Raises:
            ServiceUnavailableException: the service sends no mail.
            RateLimitExceeded: too many wrong passwords.
            ValidationException: the password is wrong, or the email at a special-use domain.
        """
        check_mail(sends_mail=self.sends_mail)
        if not self.settings.special_use_domains and has_special_use_domain(email):
            message = "is at a special-use domain (AUTH_SPECIAL_USE_DOMAINS)"
            raise _invalid("email", message, "not_allowed")
        hashed = await self.users.password_hash(caller.user_id)
        await self.release_connection()
        is_right = await self.guesses.of_caller(caller, password, hashed, device)
        mail = SendMail(mail="email-change", id=uuid4(), user_id=caller.user_id)
        async with self.transaction():
            user = await self.users.get_or_raise(caller.user_id, lock=True)
            is_right = is_right and user.hashed_password == hashed
            purpose = Purpose.EMAIL_CHANGE
            if is_right and not await self.tokens.is_on_its_way(user.id, purpose, email):
                await self.tokens.issue(purpose, user, email, mail.id)
                await self.queue.enqueue(mail)
        if not is_right:
            message = "is not the current password"
            raise _invalid("current_password", message, "wrong_password")

    async def confirm(self, token: str) -> None:
        """Change the email to the address that the token was sent to, and mail a link to undo that
        to the old one.

        Raises:
            ValidationException: the token is not valid.
            ConflictException: the address has an account by now.
        """
        presented = await self.tokens.present(token, Purpose.EMAIL_CHANGE)
        async with self.transaction():
            spent = await self.tokens.spend(presented)
            if spent is not None:
                user, row = spent
                old = user.email
                await self._change(user, row.address)
                mail = SendMail(
                    mail="email-changed",
                    id=uuid4(),
                    user_id=user.id,
                    data={"at": moment_in_words(datetime.now(UTC))},
                )
                undo = {mail.id: old}
                await self.tokens.issue_all(Purpose.EMAIL_CHANGE_UNDO, user, undo)
                await self.queue.enqueue(mail)
        if spent is None:
            raise invalid_token()
        await self.principals.forget_user(presented.user_id)
        log.info("email_changed", user=presented.user_id)

    async def undo(self, token: str) -> None:
        """Restore the address that the token was sent to, end all sessions, take back what else
        happened since, and mail a link to set a new password: the person who changed the email
        knew the old one.

        Links to undo earlier changes stay valid, those of later changes do not: the address that
        was first wins.

        Raises:
            ValidationException: the token is not valid.
            ConflictException: the address has another account by now, which verified it.
        """
        presented, restored = await self.tokens.present(token, Purpose.EMAIL_CHANGE_UNDO), None
        async with self.transaction():
            spent = await self.tokens.spend(presented)
            if spent is not None:
                user, row = spent
                restored = await self.restoration.restore(user, row.address, row.created_at)
                if restored is not None:
                    await self._give_back(user, row)
        if restored is None:
            raise invalid_token()
        await self.restoration.forget(restored)
        log.warning("email_change_undone", user=presented.user_id)

    async def _give_back(self, user: User, row: OneTimeToken) -> None:
        await self._change(user, row.address)
        await self.sessions.end_all(user.id)
        await self.tokens.void_undos_after(user.id, row.created_at)
        mail = SendMail(mail="password-reset", id=uuid4(), user_id=user.id)
        await self.tokens.issue(Purpose.PASSWORD_RESET, user, user.email, mail.id)
        await self.queue.enqueue(mail)

    async def _change(self, user: User, email: str) -> None:
        before = {"email": user.email}
        user.email, user.email_verified_at = email, datetime.now(UTC)
        await self.users.flush()
        await self.tokens.void_all(user.id)
        after = {"email": email}
        self.audit.record(Action.USER_UPDATED, target_of(user), before=before, after=after)


def _invalid(field: str, message: str, code: DetailCode) -> ValidationException:
    return ValidationException(details=[{"field": field, "message": message, "code": code}])

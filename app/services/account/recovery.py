"""`RecoveryService`: new passwords for users who do not have the old one."""

from datetime import UTC, datetime
from uuid import uuid4

import structlog
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.exceptions import ConflictException, NotFoundException, ValidationException
from app.core.security import PasswordHasher
from app.core.security.known_devices import KnownDevices
from app.core.security.passwords.policy import PasswordPolicy
from app.core.text.normalisation import normalise_login
from app.models import User
from app.repositories.access.role import RoleRepository
from app.repositories.background.jobs import JobQueue
from app.repositories.session import SessionRepository
from app.repositories.user.repository import UserRepository
from app.schemas.access.session import Principal
from app.schemas.account import Purpose, ResetLink
from app.schemas.audit import Action
from app.schemas.background.mail import SendMail
from app.services.access.rules import check_may_change
from app.services.account.links import link
from app.services.account.notices import Notices
from app.services.account.tokens import POLICIES, OneTimeTokens, invalid_token
from app.services.audit.redaction import target_of
from app.services.base import BaseService
from app.services.principals import PrincipalCache

log = structlog.get_logger("app.security")
_LIFETIME = POLICIES[Purpose.PASSWORD_RESET].lifetime


class RecoveryService(BaseService):
    """Recovery of accounts: by a link in a mail, by an administrator, or by a command.

    Args:
        db: the request's session.
        passwords: hashes passwords.
        policy: refuses weak passwords.
        principals: the cache of principals, invalidated by a new password.
        devices: issues device tokens.
        settings: where links lead, and how long they live.
        sends_mail: whether the service sends mail.
    """

    def __init__(
        self,
        db: AsyncSession,
        passwords: PasswordHasher,
        policy: PasswordPolicy,
        principals: PrincipalCache,
        devices: KnownDevices,
        settings: Settings,
        *,
        sends_mail: bool,
    ) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.roles = RoleRepository(db)
        self.sessions = SessionRepository(db)
        self.tokens = OneTimeTokens(db, settings.auth)
        self.queue = JobQueue(db)
        self.notices = Notices(db, is_on=sends_mail)
        self.passwords = passwords
        self.policy = policy
        self.principals = principals
        self.devices = devices
        self.settings = settings
        self.sends_mail = sends_mail

    async def request(self, email: str) -> None:
        """Mail a link to the user with this email, if there is one.

        Nothing is looked up: the job that sends the mail does that. So the request takes the same
        work, and the same time, for every address.
        """
        if not self.sends_mail:
            log.warning("recovery_without_mail", reason="MAIL_URL is not set")
            return
        data = {"requested_at": datetime.now(UTC).isoformat()}
        async with self.transaction():
            await self.queue.enqueue(SendMail(mail="password-reset", to=email, data=data))

    async def send_link(self, user_id: int, caller: Principal) -> ResetLink:
        """Mail a link to a user, for an administrator. Where the service sends no mail, return it.

        Raises:
            NotFoundException: there is no such user.
            ForbiddenException: the user may do more than the caller.
            ConflictException: the user is inactive.
        """
        mail = SendMail(mail="password-reset", id=uuid4(), user_id=user_id)
        async with self.transaction():
            user = await self.users.get_or_raise(user_id, lock=True)
            check_may_change(caller, user, await self.roles.of_user(user_id))
            if not user.is_active:
                raise ConflictException("The user is inactive, and cannot log in until activated")
            token = await self.tokens.issue(Purpose.PASSWORD_RESET, user, user.email, mail.id)
            facts = {"is_mailed": self.sends_mail}
            self.audit.record(Action.PASSWORD_LINK_ISSUED, target_of(user), after=facts)
            if self.sends_mail:
                await self.queue.enqueue(mail)
        log.info("password_reset_link", user=user_id, is_mailed=self.sends_mail)
        url = None if self.sends_mail else link(self.settings, Purpose.PASSWORD_RESET, token)
        lifetime = int(_LIFETIME.total_seconds())
        return ResetLink(is_mailed=self.sends_mail, link=url, expires_in=lifetime)

    async def reset(self, token: str, new: str) -> str:
        """Set a new password by a token, and end all sessions of the user.

        A password that is refused leaves the token valid.

        Returns:
            A device token: under attack, the user could not log in from here with the new password.

        Raises:
            ValidationException: the token is not valid, or the password too weak.
            ServiceUnavailableException: too many hashes are waiting already.
        """
        presented = await self.tokens.present(token, Purpose.PASSWORD_RESET)
        owner = await self.users.get(presented.user_id)
        if owner is None:
            raise invalid_token()
        hashed = await self._hash(owner, new, "new_password")
        async with self.transaction():
            spent = await self.tokens.spend(presented)
            if spent is not None:
                user, _ = spent
                if self.sends_mail:  # else an administrator has the link
                    user.email_verified_at = user.email_verified_at or datetime.now(UTC)
                await self._replace(user, hashed)
        if spent is None:
            raise invalid_token()
        await self.principals.forget_user(presented.user_id)
        log.info("password_reset", user=presented.user_id)
        return self.devices.token(presented.user_id, hashed)

    async def set_password(self, email: str, password: SecretStr) -> User:
        """Set the password of the user with this email, and end all their sessions: for commands.

        Raises:
            NotFoundException: no user has the email.
            ValidationException: the password is too weak.
        """
        found = await self.users.by_email(email)
        if found is None:
            raise NotFoundException(f"No user has the email {normalise_login(email)}")
        user_id = found.id
        hashed = await self._hash(found, password.get_secret_value(), "password")
        async with self.transaction():
            user = await self.users.get_or_raise(user_id, lock=True)
            await self._replace(user, hashed)
        await self.principals.forget_user(user_id)
        log.info("password_set", user=user_id)
        return user

    async def _hash(self, user: User, password: str, field: str) -> str:
        names = user.email, user.username, user.full_name
        await self.release_connection()
        if reason := await self.policy.refusal(password, *names):
            detail = {"field": field, "message": reason, "code": "weak_password"}
            raise ValidationException(details=[detail])
        return await self.passwords.hash(password)

    async def _replace(self, user: User, hashed: str) -> None:
        user.hashed_password = hashed
        await self.users.flush()
        ended = await self.sessions.end_all(user.id)
        await self.tokens.void_all(user.id)
        facts = {"sessions_ended": ended}
        self.audit.record(Action.PASSWORD_CHANGED, target_of(user), after=facts)
        await self.notices.send_password_changed(user.id, user.email)

"""`AccountDeletionService`: deletion of one's own account, its undo, and the job that deletes."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.details import Detail
from app.core.device import Device
from app.core.exceptions import ConflictException, ValidationException
from app.core.text.normalisation import is_encodable
from app.models import User
from app.repositories.account_deletions import AccountDeletionRepository
from app.repositories.background.jobs import JobQueue
from app.repositories.session import SessionRepository
from app.repositories.user.repository import UserRepository
from app.schemas.access.session import Principal
from app.schemas.account import DeletionSchema, Purpose
from app.schemas.audit import Action
from app.schemas.background.mail import SendMail
from app.services.account.tokens import OneTimeTokens, invalid_token
from app.services.audit.redaction import state_of, target_of
from app.services.base import BaseService
from app.services.guesses import PasswordGuesses
from app.services.principals import PrincipalCache

BATCH = 100
log = structlog.get_logger("app.security")


class AccountDeletionService(BaseService):
    """Deletes accounts whose users ask for it, after a time in which they can undo it.

    Args:
        db: the request's or the job's session.
        guesses: verifies passwords.
        principals: the cache of principals.
        settings: the grace period.
        sends_mail: whether the service sends mail. Without, only administrators undo a deletion.
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
        self.deletions = AccountDeletionRepository(db)
        self.tokens = OneTimeTokens(db, settings)
        self.queue = JobQueue(db)
        self.guesses = guesses
        self.principals = principals
        self.grace = timedelta(seconds=settings.deletion_grace)
        self.sends_mail = sends_mail

    async def request(
        self, caller: Principal, current_password: str, device: Device
    ) -> DeletionSchema:
        """Deactivate the caller at once, end all their sessions, and mail the link to undo it.

        Raises:
            ValidationException: the password is wrong.
            RateLimitExceeded: too many wrong passwords.
            ConflictException: no active superuser would be left.
            ServiceUnavailableException: too many hashes are waiting already.
        """
        hashed = await self._verified(caller, current_password, device)
        delete_after = datetime.now(UTC) + self.grace
        mail = SendMail(mail="account-deletion", id=uuid4(), user_id=caller.user_id)
        async with self.transaction():
            if caller.is_superuser and await self.users.lock_superusers() == [caller.user_id]:
                raise ConflictException("At least one active superuser must remain")
            user = await self.users.get_or_raise(caller.user_id, lock=True)
            if user.hashed_password != hashed or not user.is_active:  # changed meanwhile
                raise _wrong_password()
            user.is_active = False
            await self.users.flush()
            await self.sessions.end_all(user.id)
            await self.tokens.void_all(user.id)
            await self.deletions.request(user.id, delete_after)
            await self.tokens.issue(Purpose.DELETION_UNDO, user, user.email, mail.id)
            if self.sends_mail:
                await self.queue.enqueue(mail)
            facts = {"delete_after": delete_after.isoformat()}
            self.audit.record(Action.DELETION_REQUESTED, target_of(user), after=facts)
        await self.principals.forget_user(caller.user_id)
        log.info("deletion_requested", user=caller.user_id)
        return DeletionSchema(delete_after=delete_after, is_mailed=self.sends_mail)

    async def undo(self, token: str) -> None:
        """Activate the user again by the token of the mail. They log in anew.

        Raises:
            ValidationException: the token is not valid.
        """
        presented = await self.tokens.present(token, Purpose.DELETION_UNDO)
        user: User | None = None
        async with self.transaction():
            spent = await self.tokens.spend(presented)
            if spent is not None and await self.deletions.cancel(presented.user_id):
                user = spent[0]
                user.is_active = True
                await self.users.flush()
                self.audit.record(Action.DELETION_UNDONE, target_of(user))
        if user is None:
            raise invalid_token()
        await self.principals.forget_user(presented.user_id)
        log.info("deletion_undone", user=presented.user_id)

    async def delete_due(self) -> int:
        """Delete the users whose grace period is over; the number of them."""
        count = 0
        while due := await self.deletions.due(BATCH):
            await self.release_connection()
            for user_id in due:
                count += await self._delete(user_id)
        return count

    async def _delete(self, user_id: int) -> bool:
        async with self.transaction():
            user = await self.users.get(user_id, lock=True)
            # An undo may have been faster. An active user does not wait: the row is old.
            is_due = await self.deletions.cancel(user_id)
            if not is_due or user is None or user.is_active:
                return False
            before = state_of(user)
            await self.users.delete(user)
            self.audit.record(Action.USER_DELETED, target_of(user), before=before)
        await self.principals.forget_user(user_id)
        log.info("user_deleted", user=user_id, reason="requested by the user")
        return True

    async def _verified(self, caller: Principal, password: str, device: Device) -> str:
        """The hash of the user's password, if this is the password."""
        if not is_encodable(password):
            raise _refused("should be valid Unicode text", "malformed")
        hashed = await self.users.password_hash(caller.user_id)
        await self.release_connection()
        is_right = await self.guesses.of_caller(caller, password, hashed, device)
        if not is_right or hashed is None:
            raise _wrong_password()
        return hashed


def _wrong_password() -> ValidationException:
    return _refused("is not the current password", "wrong_password")


def _refused(message: str, code: str) -> ValidationException:
    detail: Detail = {"field": "current_password", "message": message, "code": code}
    return ValidationException(details=[detail])

"""Sign-up, also where it must not reveal who has an account."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeGuard

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.exceptions import (
    ConflictException,
    ForbiddenException,
    UnauthorizedException,
    ValidationException,
)
from app.core.permissions import Permission
from app.core.security import PasswordHasher
from app.core.security.passwords.policy import PasswordPolicy
from app.core.text.normalisation import username_key
from app.models import User
from app.repositories.background.jobs import JobQueue
from app.repositories.session import SessionRepository
from app.schemas.access.session import Principal
from app.schemas.background.mail import SendMail
from app.schemas.user import NewUser, UserCreate, UserProfile, UserSchema
from app.services.account.verification import VerificationMails
from app.services.auth.session_confirmation import require_confirmation
from app.services.idempotency import IdempotentRequest
from app.services.user.creation import UserCreation
from app.services.user.new_rows import PRIVILEGE_REFUSED, NewUserRow

PRIVILEGES = NewUser.model_fields.keys() - UserProfile.model_fields.keys()
_NEW_USER = TypeAdapter(UserSchema | None)


@dataclass(frozen=True, slots=True)
class SignedUp:
    """Result of a sign-up.

    Attributes:
        body: the user as JSON; `null` where the caller is not to know whether there is one.
        is_replay: an earlier request had this result.
    """

    body: bytes
    is_replay: bool = False


class UserRegistration(UserCreation):
    """Creates users for callers, and has their emails verified as the settings say.

    Args:
        db: the request's session.
        passwords: hashes passwords.
        policy: refuses weak passwords.
        settings: whether registration is enabled, how emails are verified, and rules of users.
        sends_mail: whether the service sends mail.
    """

    def __init__(
        self,
        db: AsyncSession,
        passwords: PasswordHasher,
        policy: PasswordPolicy,
        settings: AuthSettings,
        *,
        sends_mail: bool = False,
    ) -> None:
        super().__init__(db, passwords, policy, settings)
        self.queue = JobQueue(db)
        self.sessions = SessionRepository(db)
        self.verification = VerificationMails(db, settings, sends_mail=sends_mail)

    async def sign_up(self, user_in: UserCreate, caller: Principal | None) -> User:
        """Create a user for an anonymous caller, a plain user, or one who may create users.

        Raises:
            UnauthorizedException: registration is disabled, and the caller is anonymous.
            ForbiddenException: registration is disabled, and the caller may not create users.
            ValidationException: the password is too weak, the email is at a special-use domain, or
                the caller sets privileges that they may not set.
            ConfirmationRequiredException: the new user is a superuser.
            ConflictException: the email or the username is taken.
        """
        await self._check(user_in, caller)
        row = await self.prepare(user_in)
        async with self.transaction():
            return await self._add(row)

    async def register(
        self,
        user_in: UserCreate,
        caller: Principal | None,
        request: IdempotentRequest | None = None,
    ) -> SignedUp:
        """`sign_up`, once for each request. It reveals nothing where an email has to be verified
        before the first login: a taken email has the same result as a free one, and its owner is
        told by mail.

        Args:
            user_in: the user.
            caller: None for an anonymous one.
            request: a repeated one has the first result, and sends no mail.

        Raises:
            ConflictException: also if the request's key belongs to another one.
        """
        await self._check(user_in, caller)
        if earlier := await self._earlier_sign_up(request):
            return earlier
        row = await self.prepare(user_in)
        is_disclosed = _may_create(caller) or not self.verification.is_required
        try:
            async with self.transaction():
                user = await (
                    self._add(row) if is_disclosed else self._add_undisclosed(row, user_in)
                )
                body = _NEW_USER.dump_json(
                    None if user is None else UserSchema.model_validate(user)
                )
                if request is not None:
                    await self.idempotency.store(request, body)
        except ConflictException:
            # Perhaps with the same request: one that was under way has succeeded by now.
            if earlier := await self._earlier_sign_up(request):
                return earlier
            raise
        return SignedUp(body)

    async def _earlier_sign_up(self, request: IdempotentRequest | None) -> SignedUp | None:
        body = None if request is None else await self.idempotency.find(request)
        return None if body is None else SignedUp(body, is_replay=True)

    async def _add_undisclosed(self, row: NewUserRow, user_in: UserCreate) -> None:
        """Add a user, or mail the owner of the email. The same statements in both cases, and so the
        same time: an INSERT and a mail."""
        try:
            await self._add(row)
        except ConflictException as conflict:
            await self._check_username(user_in, conflict)
            data = {"requested_at": datetime.now(UTC).isoformat()}
            mail = SendMail(mail="already-registered", to=user_in.email, data=data)
            await self.queue.enqueue(mail)

    async def _check(self, user_in: UserCreate, caller: Principal | None) -> None:
        """Check what the caller may do. See `sign_up` for what it raises."""
        if not _may_create(caller):
            self._check_registration(caller)
            refuse(PRIVILEGES & user_in.model_fields_set)
        elif user_in.is_superuser is True and not caller.is_superuser:
            refuse({"is_superuser"})
        self._check_domain(user_in.email)
        if caller is not None and user_in.model_dump().get("is_superuser", False):
            await require_confirmation(self.sessions, caller)
            await self.release_connection()

    async def _add(self, row: NewUserRow) -> User:
        (user,) = await self.insert([row])
        await self.verification.send(user.id)
        return user

    async def _check_username(self, user_in: UserCreate, conflict: ConflictException) -> None:
        """Usernames are public. One that is taken is refused whether or not the email is, too."""
        if user_in.username is None:
            return
        key = username_key(user_in.username)
        if key in (await self.users.taken((), {key}))["username"]:
            detail = {"field": "username", "message": "already taken"}
            raise ConflictException(details=[detail]) from conflict

    def _check_domain(self, email: str) -> None:
        if faults := self.domain_faults(email):
            raise ValidationException(details=faults)

    def _check_registration(self, caller: Principal | None) -> None:
        if self.settings.registration_enabled:
            return
        if caller is None:
            raise UnauthorizedException("Registration is disabled")
        raise ForbiddenException("Registration is disabled")


def _may_create(caller: Principal | None) -> TypeGuard[Principal]:
    return caller is not None and caller.may(Permission.USERS_CREATE)


def refuse(fields: Collection[str]) -> None:
    """
    Raises:
        ValidationException: there are fields: privileges that the caller may not set.
    """
    if fields:
        raise ValidationException(
            details=[{"field": field, **PRIVILEGE_REFUSED} for field in sorted(fields)]
        )

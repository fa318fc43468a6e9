"""Rules about users: sign-up, privileges, changes and deletion."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.exceptions import (
    ConflictException,
    ForbiddenException,
    ImpersonationException,
    NotFoundException,
    PreconditionFailedException,
    ValidationException,
)
from app.core.permissions import Permission
from app.core.security import PasswordHasher
from app.core.security.passwords.policy import PasswordPolicy
from app.core.text.normalisation import normalise_login
from app.models import User
from app.repositories.access.one_time_tokens import OneTimeTokenRepository
from app.repositories.access.role import RoleRepository
from app.repositories.account_deletions import AccountDeletionRepository
from app.schemas.access.session import Principal
from app.schemas.account import Purpose
from app.schemas.audit import Action, Facts
from app.schemas.user import UserCreate, UserSchema, UserUpdate
from app.services.access.rules import check_may_change
from app.services.account.notices import Notices
from app.services.account.tokens import OneTimeTokens
from app.services.audit.redaction import state_of, target_of
from app.services.auth.session_confirmation import require_confirmation
from app.services.merging import NOTHING, merged
from app.services.principals import PrincipalCache
from app.services.user.registration import PRIVILEGES, UserRegistration, refuse

log = structlog.get_logger("app.security")


def _any_version(_: datetime) -> bool:
    return True


class UserService(UserRegistration):
    """Creates, reads, changes and deletes users.

    Args:
        db: the request's session.
        passwords: hashes passwords.
        policy: refuses weak passwords.
        principals: the cache of principals and profiles, invalidated by changes.
        settings: whether registration is enabled, and the accepted domains of an email.
        sends_mail: whether the service sends mail.
    """

    def __init__(
        self,
        db: AsyncSession,
        passwords: PasswordHasher,
        policy: PasswordPolicy,
        principals: PrincipalCache,
        settings: AuthSettings,
        *,
        sends_mail: bool = False,
    ) -> None:
        super().__init__(db, passwords, policy, settings, sends_mail=sends_mail)
        self.roles = RoleRepository(db)
        self.deletions = AccountDeletionRepository(db)
        self.one_time_tokens = OneTimeTokenRepository(db)
        self.principals = principals
        self.tokens = OneTimeTokens(db, settings)
        self.notices = Notices(db, is_on=sends_mail)

    async def create_first_superuser(self, user_in: UserCreate) -> bool:
        """Create a superuser unless one is active; whether it was created.

        Of processes that start at once one succeeds. A user who has the email already is not
        promoted: anyone could have signed up with it. The log names the command that promotes.

        Raises:
            ValidationException: the password is too weak.
        """
        if await self.users.has_superuser():
            return False
        try:
            await self.create_user(user_in, is_verified=True)
        except ConflictException:
            await self.warn_without_superuser(user_in.email)
            return False
        return True

    async def warn_without_superuser(self, email: str) -> None:
        """Log how to get a superuser, where none is active and a user has the email already."""
        if await self.users.has_superuser() or await self.users.by_email(email) is None:
            return
        log.warning(
            "first_superuser_missing",
            reason="the user with this email is not an active superuser",
            promote=f"backend create-superuser {normalise_login(email)}",
        )

    async def has_email(self, email: str) -> bool:
        """Whether a user has this email."""
        is_taken = await self.users.by_email(email) is not None
        await self.release_connection()
        return is_taken

    async def promote(self, email: str) -> User:
        """Make the user with this email a superuser, activate them, and take the email as verified.

        Raises:
            NotFoundException: no user has the email.
        """
        async with self.transaction():
            user = await self._by_email(email)
            before = state_of(user)
            user.is_superuser = user.is_active = True
            user.email_verified_at = user.email_verified_at or datetime.now(UTC)
            await self._override_deletion(user)
            self._record_update(user, before)
        await self.principals.forget_user(user.id)
        return user

    async def _by_email(self, email: str) -> User:
        user = await self.users.by_email(email)
        if user is None:
            raise NotFoundException(f"No user has the email {normalise_login(email)}")
        return user

    async def get(self, user_id: int, caller: Principal) -> UserSchema:
        """The profile, for its owner or with `users:read`; while it is cached, without a query.

        Raises:
            ForbiddenException: the caller is another user, without the permission.
            NotFoundException: there is no such user.
        """
        _check_own_or(Permission.USERS_READ, user_id, caller)
        if user_id == caller.user_id:
            return caller.user
        if cached := await self.principals.profile(user_id):
            return cached
        profile = UserSchema.model_validate(await self.users.get_or_raise(user_id))
        await self.principals.fill_profile(profile)
        return profile

    async def update(
        self,
        user_id: int,
        user_in: UserUpdate,
        caller: Principal,
        is_expected: Callable[[datetime], bool] = _any_version,
        known: Mapping[str, Any] = NOTHING,
    ) -> User:
        """Change the fields that were sent. Deactivation ends all sessions of the user.

        Args:
            user_id: the user.
            user_in: the changes.
            caller: who makes them.
            is_expected: whether the caller expects this `updated_at`; asked under the row's lock.
            known: values of fields as the caller knew them: see `merged`.

        Raises:
            ForbiddenException: the caller is another user without the permission, or the user may
                do more than the caller.
            ValidationException: the caller sets privileges that they may not set, or their own
                email, or the new email is at a special-use domain.
            NotFoundException: there is no such user.
            PreconditionFailedException: the user is not as expected.
            ChangedMeanwhileException: fields are not as known.
            ConfirmationRequiredException: the superuser rights change, or the email.
            ConflictException: the email or the username is taken, or no active superuser
                would be left.
        """
        _check_own_or(Permission.USERS_UPDATE, user_id, caller)
        _check_not_owner(user_id, caller)
        _check_privileges(user_id, user_in, caller)
        async with self.transaction():
            await self._check_may_change(user_id, caller)
            changes = user_in.model_dump(exclude_unset=True)
            if not (changes.get("is_active", True) and changes.get("is_superuser", True)):
                await self._keep_one_superuser_beside(user_id)
            user = await self.users.get_or_raise(user_id, lock=True)
            await self._check_may_change(user_id, caller)  # again: they may have got more rights
            _check_version(user, is_expected)
            before = state_of(user)
            changes = merged(changes, known, before)
            if changes.get("email", user.email) != user.email:
                await self._prepare_new_email(user, changes["email"], caller)
            if changes.get("is_superuser", user.is_superuser) != user.is_superuser:
                await require_confirmation(self.sessions, caller)
            for field, value in changes.items():
                setattr(user, field, value)
            await self.users.flush()
            self._record_update(user, before)
            if "is_active" in changes:
                await self._override_deletion(user)
            if not user.is_active:
                await self.sessions.end_all(user.id)
        await self.principals.forget_user(user_id)
        return user

    async def _prepare_new_email(self, user: User, email: str, caller: Principal) -> None:
        """By another user; both addresses get a mail. Users change their own email by a link.

        Raises:
            ValidationException: it is the caller's own email, or at a special-use domain.
            ConfirmationRequiredException: see `require_confirmation`.
        """
        self._check_domain(email)
        if user.id == caller.user_id:
            message = "changes by POST /users/me/email"
            detail = {"field": "email", "message": message, "code": "not_allowed"}
            raise ValidationException(details=[detail])
        # The owner of the new mailbox can set a new password, and is the user from then on.
        await require_confirmation(self.sessions, caller)
        user.email_verified_at = None
        await self.tokens.void_all(user.id)
        await self.tokens.void_undos(user.id)  # an attacker who took the account over may have some
        for address in (user.email, email):
            await self.notices.send("email-changed", user.id, address)
        await self.verification.send(user.id)

    async def delete(
        self,
        user_id: int,
        caller: Principal,
        is_expected: Callable[[datetime], bool] = _any_version,
    ) -> None:
        """Delete a user and their sessions.

        Args:
            user_id: the user.
            caller: who deletes them.
            is_expected: as for `update`.

        Raises:
            NotFoundException: there is no such user.
            ForbiddenException: the user may do more than the caller.
            PreconditionFailedException: the user is not as expected.
            ConflictException: no active superuser would be left.
        """
        _check_not_owner(user_id, caller)
        async with self.transaction():
            await self._check_may_change(user_id, caller)
            await self._keep_one_superuser_beside(user_id)
            user = await self.users.get_or_raise(user_id, lock=True)
            await self._check_may_change(user_id, caller)  # again: they may have got more rights
            _check_version(user, is_expected)
            before = state_of(user)
            await self.users.delete(user)
            self.audit.record(Action.USER_DELETED, target_of(user), before=before)
        await self.principals.forget_user(user_id)

    async def _check_may_change(self, user_id: int, caller: Principal) -> None:
        if not caller.is_superuser and caller.user_id != user_id:
            user = await self.users.get_or_raise(user_id)
            check_may_change(caller, user, await self.roles.of_user(user_id))

    async def analyze(self) -> None:
        """Update the planner's statistics, after many users were created."""
        async with self.transaction():
            await self.users.analyze()

    def _record_update(self, user: User, before: Facts) -> None:
        after = state_of(user)
        if after != before:
            action = _action_of(before, after)
            self.audit.record(action, target_of(user), before=before, after=after)

    async def _override_deletion(self, user: User) -> None:
        """Let an administrator's decision win over what the user requested: an activated user is
        not deleted, and a deactivated one cannot undo it by the link of a deletion."""
        await self.one_time_tokens.void(user.id, [Purpose.DELETION_UNDO])
        if user.is_active:
            await self.deletions.cancel(user.id)

    async def _keep_one_superuser_beside(self, user_id: int) -> None:
        """Check before the user is locked: otherwise two superusers who demote each other would
        wait for each other's lock.

        Raises:
            ConflictException: this is the last superuser who can log in.
        """
        if await self.users.lock_superusers() == [user_id]:
            raise ConflictException("At least one active superuser must remain")


def _action_of(before: Facts, after: Facts) -> Action:
    """The gravest of the changes names the event."""
    if before["is_superuser"] != after["is_superuser"]:
        return Action.USER_PROMOTED if after["is_superuser"] else Action.USER_DEMOTED
    if before["is_active"] != after["is_active"]:
        return Action.USER_ACTIVATED if after["is_active"] else Action.USER_DEACTIVATED
    return Action.USER_UPDATED


def _check_version(user: User, is_expected: Callable[[datetime], bool]) -> None:
    if not is_expected(user.updated_at):
        raise PreconditionFailedException


def _check_own_or(permission: Permission, user_id: int, caller: Principal) -> None:
    if caller.user_id != user_id and not caller.may(permission):
        raise ForbiddenException


def _check_not_owner(user_id: int, caller: Principal) -> None:
    if caller.user_id != user_id:
        return
    if caller.key is not None:
        raise ForbiddenException("An API key may not change its owner's account")
    if caller.impersonator is not None:
        raise ImpersonationException


def _check_privileges(user_id: int, user_in: UserUpdate, caller: Principal) -> None:
    if not caller.is_superuser:
        refused = PRIVILEGES if caller.user_id == user_id else {"is_superuser"}
        refuse(refused & user_in.model_fields_set)

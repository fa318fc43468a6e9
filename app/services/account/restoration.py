"""`AccountRestoration`: undoes an attacker's changes to an account whose email they had changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.models import User
from app.repositories.access.api_key import ApiKeyRepository
from app.repositories.access.mfa import MfaRepository
from app.repositories.access.one_time_tokens import OneTimeTokenRepository
from app.repositories.account_deletions import AccountDeletionRepository
from app.repositories.user.repository import UserRepository
from app.schemas.account import Purpose
from app.schemas.audit import Action, Target
from app.services.audit.redaction import state_of, target_of
from app.services.base import BaseService
from app.services.principals import PrincipalCache


@dataclass(frozen=True, slots=True)
class Restored:
    """What the cache has to forget after the commit.

    Attributes:
        users: those who changed or were deleted.
        keys: API keys that were revoked.
    """

    users: Sequence[int]
    keys: Sequence[UUID]


class AccountRestoration(BaseService):
    """The undo of a changed email, but for the email itself, in the caller's transaction."""

    def __init__(self, db: AsyncSession, principals: PrincipalCache) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.mfa = MfaRepository(db)
        self.principals = principals
        self.deletions = AccountDeletionRepository(db)
        self.tokens = OneTimeTokenRepository(db)
        self.keys = ApiKeyRepository(db)

    async def restore(self, user: User, address: str, since: datetime) -> Restored | None:
        """Undo a deletion, free the address, and remove what was added to the account.

        Args:
            user: locked.
            address: that the user gets back, and whose mailbox the caller has proved to read.
            since: when it was changed.

        Returns:
            None where an administrator deactivated the user, who stays so.
        """
        if not user.is_active and not await self._undo_deletion(user):
            return None
        deleted = await self._free(address, user, since)
        keys = await self._revoke_keys(user, since)
        await self._remove_factors(user, since)
        return Restored([user.id, *deleted], keys)

    async def forget(self, restored: Restored) -> None:
        """Have the cache forget it. Call after the commit."""
        for user_id in restored.users:
            await self.principals.forget_user(user_id)
        for key_id in restored.keys:
            await self.principals.revoke_key(key_id)

    async def _undo_deletion(self, user: User) -> bool:
        """Activate a user who waits for a deletion that the account itself requested: its link to
        undo it is unused, unless an administrator deactivated the user since."""
        is_own = await self.tokens.void(user.id, [Purpose.DELETION_UNDO])
        if not is_own or not await self.deletions.cancel(user.id):
            return False
        user.is_active = True
        self.audit.record(Action.DELETION_UNDONE, target_of(user))
        return True

    async def _free(self, address: str, user: User, since: datetime) -> list[int]:
        """Delete an account that was made with the address since, and never verified it: anybody
        can make one, to be in the way of an undo. A reader of the mailbox could take it over by a
        recovery of its password anyway."""
        found = await self.users.by_email(address)
        if found is None or found.id == user.id:
            return []
        other = await self.users.get(found.id, lock=True)
        if other is None or other.email_verified_at is not None or other.is_superuser:
            return []
        if other.created_at < since:
            return []
        before, other_id = state_of(other), other.id
        await self.users.delete(other)
        self.audit.record(Action.USER_DELETED, Target("user", other_id), before=before)
        return [other_id]

    async def _remove_factors(self, user: User, since: datetime) -> None:
        removed = await self.mfa.remove_factors_since(user.id, since)
        if not removed:
            return
        if not await self.mfa.has_factor(user.id):
            await self.mfa.replace_recovery_codes(user.id, [])
            user.has_mfa = False
        self.audit.record(Action.MFA_RESET, target_of(user), after={"removed": removed})

    async def _revoke_keys(self, user: User, since: datetime) -> list[UUID]:
        revoked = await self.keys.remove_since(user.id, since)
        for key in revoked:
            target = Target("key", key.id)
            self.audit.record(Action.KEY_REVOKED, target, user_id=user.id, before=state_of(key))
        return [key.id for key in revoked]

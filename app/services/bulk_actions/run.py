"""`BulkActionRun`: one attempt at an action on many users, in a worker."""

from asyncio import CancelledError
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.caller import identify_caller
from app.core.config import AuthSettings
from app.core.exceptions import ConflictException, ForbiddenException, NotFoundException
from app.core.origin import Origin, acting_as
from app.core.permissions import Permission, known
from app.repositories.access.role import RoleRepository
from app.repositories.account_deletions import AccountDeletionRepository
from app.repositories.background.bulk_actions import (
    BulkActionRepository,
    BulkActionUserRepository,
    RunningBulkAction,
)
from app.repositories.session import SessionRepository
from app.repositories.user.repository import UserRepository
from app.schemas.access.session import Principal
from app.schemas.background.bulk_action import OPPOSITE, PERMISSION_FOR, BulkOutcome
from app.schemas.user import UserSchema
from app.services.base import BaseService
from app.services.bulk_actions.actions import UserActions
from app.services.dashboard import invalidate_statistics
from app.services.principals import principal_of

BATCH = 25
"""Users between two checks of the admin's rights: about a quarter of a second."""
MAX_REFUSALS = 1_000
"""Refusals of which the reason is stored; the others are counted."""
RIGHTS_LOST = "The admin who began it may not do this any more, or their session was ended"
OWN_ACCOUNT = "This is the account of the admin who began it: change it on its own page"
WAITS = "The user asked for the deletion of the account, which an activation would prevent"

log = structlog.get_logger("app.bulk_actions")


class BulkActionRun(BaseService):
    """Makes one attempt. Each user is changed in a transaction of its own, which also records that
    the user is done with: an attempt after this one goes on behind that user, and an attempt that
    was taken for dead, or an action that was stopped, changes nobody more.

    Args:
        db: the job's session, also of `actions`.
        actions: applies the action to a user.
        auth: tells who has to have a second factor.
    """

    def __init__(self, db: AsyncSession, actions: UserActions, auth: AuthSettings) -> None:
        super().__init__(db)
        self.records = BulkActionRepository(db)
        self.record_users = BulkActionUserRepository(db)
        self.users = UserRepository(db)
        self.roles = RoleRepository(db)
        self.sessions = SessionRepository(db)
        self.deletions = AccountDeletionRepository(db)
        self.actions = actions
        self.auth = auth

    async def run(self, bulk_action_id: UUID) -> None:
        """Make one attempt."""
        async with self.transaction():
            running = await self.records.begin_run(bulk_action_id)
        if running is None:
            return
        identify_caller(running.user_id)
        if running.last_id:
            # The attempt before this one may have died between its commit and this.
            await self.actions.users.principals.forget_user(running.last_id)
        try:
            await self._change_all(running)
        finally:
            await invalidate_statistics()

    async def _change_all(self, running: RunningBulkAction) -> None:
        last_id = running.last_id
        while ids := await self.records.next_users(running.id, last_id, BATCH):
            admin = await self._admin(running)
            await self.release_connection()
            if admin is None:
                await self._finish(running, "failed", RIGHTS_LOST)
                return
            with acting_as(Origin("user", admin.user_id, admin.user.username)):
                for user_id in ids:
                    if not await self._change(running, user_id, admin):
                        return
            last_id = ids[-1]
        await self.release_connection()
        await self._finish(running, "done")

    async def _admin(self, running: RunningBulkAction) -> Principal | None:
        """Who began it, with the rights of this moment; None where they do not suffice, or the
        session was ended: an account that was taken over stops what the intruder began."""
        user = await self.users.get(running.user_id)
        if user is None or await self.sessions.was_ended(running.session_id):
            return None
        await self.db.refresh(user)
        roles = {role.id: known(role.permissions) for role in await self.roles.of_user(user.id)}
        admin = principal_of(running.id, UserSchema.model_validate(user), roles)
        required = Permission.USERS_READ, PERMISSION_FOR[running.action]
        may = user.is_active and admin.may_use_admin_pages and all(map(admin.may, required))
        needs_mfa = self.auth.requires_mfa(is_superuser=admin.is_superuser)
        return admin if may and (admin.user.has_mfa or not needs_mfa) else None

    async def _change(self, running: RunningBulkAction, user_id: int, admin: Principal) -> bool:
        """Change a user, or record why not; False where this attempt was ended."""
        try:
            is_changed = await self._will_change(running, user_id)
            if not is_changed:
                async with self.transaction():
                    return await self.records.advance(running, user_id, is_changed=False)
            if not await self.records.advance(running, user_id, is_changed=True):
                await self.release_connection()
                return False
            # It commits what was written so far with the change itself.
            await self.actions.apply(running.action, user_id, admin)
        except CancelledError:  # stopped, perhaps between the commit and the cache
            await self.actions.users.principals.forget_user(user_id)
            raise
        except (ConflictException, ForbiddenException, NotFoundException) as refusal:
            await self.release_connection()
            async with self.transaction():
                return await self.records.refuse(running, user_id, refusal.message, MAX_REFUSALS)
        return True

    async def _will_change(self, running: RunningBulkAction, user_id: int) -> bool:
        """Whether the action changes the user, who is locked where the answer decides on an undo:
        after the superusers, as `UserService.update` does it.

        Raises:
            ConflictException: the user waits for the deletion of the account.
            ForbiddenException: it is the admin's own account.
            NotFoundException: there is no such user.
        """
        if user_id == running.user_id and running.action != "activate":
            raise ForbiddenException(OWN_ACCOUNT)
        if running.action not in OPPOSITE:
            return True
        if running.action == "deactivate":
            await self.users.lock_superusers()
        user = await self.users.get_or_raise(user_id, lock=True)
        if running.action == "activate" and await self.deletions.of_user(user_id):
            raise ConflictException(WAITS)
        return user.is_active != (running.action == "activate")

    async def _finish(
        self, running: RunningBulkAction, outcome: BulkOutcome, reason: str | None = None
    ) -> None:
        async with self.transaction():
            if await self.records.finish(running, outcome, reason):
                await self.record_users.delete_rest(running.id)
        log.info(
            "bulk_action_ended",
            bulk_action=str(running.id),
            action=running.action,
            attempt=running.run,
            outcome=outcome,
        )

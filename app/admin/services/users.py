"""`AdminUserService`: users created, edited or changed in bulk, with a result for each user."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.admin.services.own_rights import check_own_demotion
from app.core.exceptions import ConflictException, ForbiddenException, NotFoundException
from app.schemas.access.session import Principal
from app.schemas.background.bulk_action import OPPOSITE, UserAction
from app.schemas.user import UserCreate, UserSchema, UserUpdate
from app.services.bulk_actions.actions import UserActions
from app.services.dashboard import invalidate_statistics


class ActionResult(NamedTuple):
    """The result of an action for one user.

    Attributes:
        name: the username, or where the user does not exist any more, the id.
        refusal: why nothing was changed; None where it was.
        undoable: id of the user, where the action can be undone and changed them.
    """

    name: str
    refusal: str | None = None
    undoable: int | None = None


class AdminUserService:
    """Changes users, one or many, and invalidates the statistics of users after it: an admin wants
    to see a change at once, and not in a minute."""

    def __init__(self, actions: UserActions) -> None:
        self.actions = actions
        self.users = actions.users

    async def create(self, user_in: UserCreate, admin: Principal) -> UserSchema:
        """Create a user; see `UserService.sign_up`, also for what it raises."""
        user = UserSchema.model_validate(await self.users.sign_up(user_in, admin))
        await invalidate_statistics()
        return user

    async def update(
        self,
        user_id: int,
        user_in: UserUpdate,
        admin: Principal,
        known: Mapping[str, object],
        *,
        is_sure: bool,
    ) -> UserSchema:
        """Change what was sent; see `UserService.update`, also for what else it raises.

        Raises:
            OwnRightsException: callers demote themselves, and are not `is_sure`.
        """
        if not is_sure:
            check_own_demotion(admin, user_id, user_in)
        changed = await self.users.update(user_id, user_in, admin, known=known)
        user = UserSchema.model_validate(changed)
        await invalidate_statistics()
        return user

    async def existing(self, ids: Sequence[int], admin: Principal) -> list[UserSchema]:
        """The users with these ids, in this order; ids without a user are left out."""
        found = [await self._find(user_id, admin) for user_id in ids]
        return [user for user in found if user is not None]

    async def apply(
        self, action: UserAction, ids: Sequence[int], admin: Principal
    ) -> Sequence[ActionResult]:
        """Apply an action to each user, each in a transaction of its own.

        Returns:
            A result for each, in this order: a refusal for one does not stop the others.
        """
        results = [await self._apply_to_one(action, user_id, admin) for user_id in ids]
        await invalidate_statistics()
        return results

    async def _apply_to_one(
        self, action: UserAction, user_id: int, admin: Principal
    ) -> ActionResult:
        user = await self._find(user_id, admin)
        name = user.username if user else f"User {user_id}"
        try:
            await self.actions.apply(action, user_id, admin)
        except (ConflictException, ForbiddenException, NotFoundException) as refusal:
            return ActionResult(name, refusal.message)
        is_changed = user is not None and user.is_active != (action == "activate")
        return ActionResult(name, undoable=user_id if action in OPPOSITE and is_changed else None)

    async def _find(self, user_id: int, admin: Principal) -> UserSchema | None:
        try:
            return await self.users.get(user_id, admin)
        except NotFoundException:
            return None

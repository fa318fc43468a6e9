"""What superusers do to users at the admin page."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from app.core.exceptions import ConflictException, NotFoundException
from app.models import User
from app.schemas.session import Principal
from app.schemas.user import UserCreate, UserSchema, UserUpdate
from app.services.dashboard import invalidate_statistics
from app.services.session import SessionService
from app.services.user.service import UserService

Change = Literal["activate", "deactivate", "end_sessions", "delete"]


class Outcome(NamedTuple):
    """What became of one user.

    Attributes:
        name: the username, or where nobody has the id any more, the id.
        refusal: why nothing was changed.
    """

    name: str
    refusal: str | None = None


class UserDesk:
    """Changes users, one or many, and has the dashboard's figures counted anew after it: whoever
    changed something wants to see it, and not in a minute."""

    def __init__(self, users: UserService, sessions: SessionService) -> None:
        self.users = users
        self.sessions = sessions

    async def create(self, user_in: UserCreate, caller: Principal) -> User:
        """Create a user; see `UserService.sign_up`, also for what it raises."""
        user = await self.users.sign_up(user_in, caller)
        await invalidate_statistics()
        return user

    async def update(self, user_id: int, user_in: UserUpdate, caller: Principal) -> User:
        """Change what was sent; see `UserService.update`, also for what it raises."""
        user = await self.users.update(user_id, user_in, caller)
        await invalidate_statistics()
        return user

    async def people(self, ids: Sequence[int], caller: Principal) -> list[UserSchema]:
        """Those of them who are there, in this order."""
        found = [await self._find(user_id, caller) for user_id in ids]
        return [user for user in found if user is not None]

    async def change(
        self, change: Change, ids: Sequence[int], caller: Principal
    ) -> Sequence[Outcome]:
        """Do the same to each of them, each in a transaction of its own.

        Returns:
            An outcome for each, in this order: that one is refused spares no other.
        """
        outcomes = [await self._change_one(change, user_id, caller) for user_id in ids]
        await invalidate_statistics()
        return outcomes

    async def _change_one(self, change: Change, user_id: int, caller: Principal) -> Outcome:
        user = await self._find(user_id, caller)
        name = user.username if user else f"User {user_id}"
        try:
            await self._apply(change, user_id, caller)
        except (ConflictException, NotFoundException) as refusal:
            return Outcome(name, refusal.message)
        return Outcome(name)

    async def _apply(self, change: Change, user_id: int, caller: Principal) -> None:
        if change == "delete":
            await self.users.delete(user_id)
        elif change == "end_sessions":
            await self.sessions.end_all_or_raise(user_id)
        else:
            is_active = change == "activate"
            await self.users.update(user_id, UserUpdate(is_active=is_active), caller)

    async def _find(self, user_id: int, caller: Principal) -> UserSchema | None:
        try:
            return await self.users.get(user_id, caller)
        except NotFoundException:
            return None

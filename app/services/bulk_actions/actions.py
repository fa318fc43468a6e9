"""`UserActions`: the actions that admins apply to one or many users."""

from app.schemas.access.session import Principal
from app.schemas.background.bulk_action import UserAction
from app.schemas.user import UserUpdate
from app.services.auth.mfa import MfaService
from app.services.session import SessionService
from app.services.user.service import UserService


class UserActions:
    """Applies an action to one user. The three services share a session; each action is one
    transaction of it."""

    def __init__(self, users: UserService, sessions: SessionService, mfa: MfaService) -> None:
        self.users = users
        self.sessions = sessions
        self.mfa = mfa

    async def apply(self, action: UserAction, user_id: int, admin: Principal) -> None:
        """
        Raises:
            ConflictException: no active superuser would be left.
            ForbiddenException: the user may do more than the admin.
            NotFoundException: there is no such user.
        """
        if action == "delete":
            await self.users.delete(user_id, admin)
        elif action == "end_sessions":
            await self.sessions.end_all_or_raise(user_id, admin)
        elif action == "reset_mfa":
            await self.mfa.reset(user_id, admin)
        else:
            await self.users.update(user_id, UserUpdate(is_active=action == "activate"), admin)

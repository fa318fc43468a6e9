"""`InvitationAcceptance`: makes an account by the link of an invitation."""

from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.permissions import ALL, Permission
from app.models import User
from app.models.invitation import Invitation
from app.repositories.access.role import RoleRepository
from app.repositories.invitations import InvitationRepository
from app.schemas.account import Purpose
from app.schemas.audit import Action
from app.schemas.invitation import InvitationAccept
from app.schemas.user import UserCreate
from app.services.access.rules import permissions_of
from app.services.account.tokens import OneTimeTokens, Presented, invalid_token
from app.services.audit.redaction import target_of
from app.services.base import BaseService
from app.services.user.new_rows import NewUserRow
from app.services.user.registration import UserRegistration

log = structlog.get_logger("app.security")


class InvitationAcceptance(BaseService):
    """Accepts invitations, whether or not registration is enabled.

    Args:
        db: the request's session.
        users: creates the account, on the same session.
        settings: with the secret key.
    """

    def __init__(self, db: AsyncSession, users: UserRegistration, settings: AuthSettings) -> None:
        super().__init__(db)
        self.invitations = InvitationRepository(db)
        self.roles = RoleRepository(db)
        self.tokens = OneTimeTokens(db, settings)
        self.users = users

    async def accept(self, sent: InvitationAccept) -> User:
        """Make the account. What is refused leaves the link valid.

        Raises:
            ValidationException: the token is not valid, or the password too weak.
            ConflictException: the username is taken, or a user has the address by now.
            ServiceUnavailableException: too many hashes are waiting already.
        """
        presented = await self.tokens.present(sent.token.get_secret_value(), Purpose.INVITATION)
        invitation = await self.invitations.by_token(presented.id)
        if invitation is None:
            raise invalid_token()
        row = _row(sent, invitation)
        await self.users.require_strong(row)
        await self.users.hash_passwords([row])
        async with self.transaction():
            user = await self._spend(presented, row)
        if user is None:
            raise invalid_token()
        log.info("invitation_accepted", user=user.id)
        return user

    async def _spend(self, presented: Presented, row: NewUserRow) -> User | None:
        """Use the token and make the account; None if the token is not valid any more."""
        # In this order everywhere: the inviter, the invitation, the token.
        inviter = await self.users.users.get(presented.user_id, lock=True)
        invitation = await self.invitations.by_token(presented.id, lock=True)
        if inviter is None or invitation is None:
            return None
        if await self.tokens.spend(presented) is None:
            return None
        if not await self._may_grant(inviter, invitation):
            return None
        row.is_verified = self.users.verification.sends_mail  # else the inviter has the link
        (user,) = await self.users.insert([row])
        await self.roles.give(user.id, [role.id for role in invitation.granted])
        invitation.user_id, invitation.accepted_at = user.id, datetime.now(UTC)
        await self.invitations.flush()
        facts = {"email": invitation.email, "roles": invitation.roles}
        target = target_of(invitation)
        self.audit.record(Action.INVITATION_ACCEPTED, target, user_id=user.id, after=facts)
        return user

    async def _may_grant(self, inviter: User, invitation: Invitation) -> bool:
        """Whether the inviter may still invite, and do all that the new account will. Otherwise
        a user who was demoted would let others in by an invitation of before."""
        if inviter.is_superuser:
            return True
        granted = ALL if invitation.is_superuser else permissions_of(invitation.granted)
        allowed = permissions_of(await self.roles.of_user(inviter.id))
        return granted | {Permission.USERS_INVITE} <= allowed


def _row(sent: InvitationAccept, invitation: Invitation) -> NewUserRow:
    return NewUserRow.of(
        UserCreate(
            email=invitation.email,
            username=sent.username,
            full_name=sent.full_name or invitation.full_name,
            password=sent.password,
            **({"is_superuser": True} if invitation.is_superuser else {}),
        )
    )

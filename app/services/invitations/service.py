"""`InvitationService`: sends, lists, resends and revokes invitations."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import structlog

from app.core.exceptions import ConflictException, ForbiddenException, TooManyRequestsException
from app.core.pagination import Page, PageParams
from app.models.invitation import Invitation
from app.schemas.access.session import Principal
from app.schemas.audit import Action
from app.schemas.invitation import InvitationState, SentInvitation
from app.services.access.rules import check_granted, permissions_of
from app.services.audit.redaction import target_of
from app.services.auth.session_confirmation import require_confirmation
from app.services.invitations.check import COOLDOWN
from app.services.invitations.sending import LIFETIME, InvitationSending

RETENTION = timedelta(days=90)
"""How long an invitation stays in the table after its link has expired."""
log = structlog.get_logger("app.security")


class InvitationService(InvitationSending):
    """Invitations of an administrator."""

    async def page(self, state: InvitationState | None, params: PageParams) -> Page[Invitation]:
        """A page of the invitations, the newest first."""
        return await self.invitations.newest(state, params)

    async def resend(self, invitation_id: int, caller: Principal) -> SentInvitation:
        """Send an invitation again, which may have expired, with a new link. The older link becomes
        void, and the invitation the caller's.

        Raises:
            NotFoundException: there is no such invitation.
            ConflictException: it was accepted or revoked.
            ForbiddenException: it grants what the caller may not do.
            ConfirmationRequiredException: it grants privileges.
            TooManyRequestsException: it was sent less than a minute ago.
        """
        async with self.transaction():
            inviter = await self.users.get_or_raise(caller.user_id, lock=True)
            invitation = await self.invitations.get_or_raise(invitation_id, lock=True)
            _check_resendable(invitation, caller)
            if invitation.is_superuser or invitation.granted:
                await require_confirmation(self.sessions, caller)
            await self.tokens.void_one(invitation.token_id)
            invitation.token_id, invitation.invited_by = uuid4(), inviter.id
            invitation.sent_at = datetime.now(UTC)
            invitation.expires_at = invitation.sent_at + LIFETIME
            invitation.is_mailed = self.sends_mail
            await self.invitations.flush()
            (answer,) = await self.issue(inviter, [invitation])
            self.audit.record(Action.INVITATION_RESENT, target_of(invitation))
        log.info("invitation_resent", invitation=invitation_id, user=caller.user_id)
        return answer

    async def revoke(self, invitation_id: int) -> None:
        """Make an invitation void. One that is void already stays so.

        Raises:
            NotFoundException: there is no such invitation.
            ConflictException: it was accepted.
        """
        async with self.transaction():
            invitation = await self.invitations.get_or_raise(invitation_id, lock=True)
            if invitation.accepted_at is not None:
                raise ConflictException("The invitation was accepted")
            if invitation.is_open:
                invitation.revoked_at = datetime.now(UTC)
                await self.invitations.flush()
                await self.tokens.void_one(invitation.token_id)
                self.audit.record(Action.INVITATION_REVOKED, target_of(invitation))
        log.info("invitation_revoked", invitation=invitation_id)

    async def purge(self) -> int:
        """Delete the invitations that expired 90 days ago or earlier; the number of them."""
        moment = datetime.now(UTC) - RETENTION
        return await self.in_batches(lambda limit: self.invitations.delete_before(moment, limit))


def _check_resendable(invitation: Invitation, caller: Principal) -> None:
    """Raises: see `InvitationService.resend`."""
    if not invitation.is_open:
        raise ConflictException(f"The invitation is {invitation.state}")
    if invitation.is_superuser and not caller.is_superuser:
        raise ForbiddenException("Only a superuser may invite a superuser")
    check_granted(caller, permissions_of(invitation.granted))
    wait = (invitation.sent_at + COOLDOWN - datetime.now(UTC)).total_seconds()
    if wait > 0:
        message = "The invitation was sent less than a minute ago"
        raise TooManyRequestsException(message, headers={"Retry-After": str(int(wait) + 1)})

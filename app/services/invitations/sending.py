"""`InvitationSending`: sends invitations, one or a list."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import structlog
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.details import Detail
from app.core.exceptions import ConflictException
from app.models import User
from app.models.invitation import Invitation
from app.models.role import Role
from app.repositories.access.role import RoleRepository
from app.repositories.background.jobs import JobQueue
from app.repositories.invitations import InvitationRepository
from app.repositories.session import SessionRepository
from app.repositories.user.repository import UserRepository
from app.schemas.access.session import Principal
from app.schemas.account import Purpose
from app.schemas.audit import Action, Facts
from app.schemas.background.mail import SendMail
from app.schemas.bulk import BulkReport, RefusedRow
from app.schemas.invitation import (
    InvitationCreate,
    InvitationRows,
    SentInvitation,
)
from app.services.account.links import link
from app.services.account.tokens import POLICIES, OneTimeTokens
from app.services.audit.redaction import target_of
from app.services.base import BaseService
from app.services.idempotency import IdempotencyService, IdempotentRequest
from app.services.invitations.check import (
    COOLDOWN,
    CheckedInvitations,
    address_conflicts,
    row_faults,
)
from app.services.user.creation import BulkCreated, UserCreation

LIFETIME = POLICIES[Purpose.INVITATION].lifetime
_SENT = TypeAdapter(list[SentInvitation])
log = structlog.get_logger("app.security")


class InvitationSending(BaseService):
    """Sends invitations to make an account. Nobody grants by one what they may not do themselves.

    Whether a user has the address already is not looked up by a request, whose answer and time so
    cannot tell: the job that sends the mail does that, and tells the user that there is an account.

    Args:
        db: the request's session.
        users: knows which addresses users may have.
        settings: where links lead.
        sends_mail: whether the service sends mail. Without, the answers have the links.
    """

    def __init__(
        self, db: AsyncSession, users: UserCreation, settings: Settings, *, sends_mail: bool
    ) -> None:
        super().__init__(db)
        self.invitations = InvitationRepository(db)
        self.roles = RoleRepository(db)
        self.users = UserRepository(db)
        self.sessions = SessionRepository(db)
        self.tokens = OneTimeTokens(db, settings.auth)
        self.idempotency = IdempotencyService(db)
        self.queue = JobQueue(db)
        self.rules = users
        self.settings = settings
        self.sends_mail = sends_mail

    async def submit(
        self,
        sent: InvitationRows,
        request: IdempotentRequest | None,
        caller: Principal,
        *,
        dry_run: bool = False,
    ) -> BulkReport | BulkCreated:
        """Send an invitation or a list of them, all or none, once for each request; with `dry_run`
        only check them.

        Raises:
            ValidationException: rows are invalid, or grant what the caller may not.
            ConflictException: addresses are invited already, or the request's key is used.
        """
        if dry_run:
            details = (await self._check(sent.rows, caller)).details
            return BulkReport.model_validate(
                {"total": len(sent.rows), "is_acceptable": not details, "details": details}
            )
        if earlier := await self._earlier(request):
            return earlier
        checked = await self._check(sent.rows, caller)
        try:
            checked.require_acceptable(is_list=sent.is_list)
            return await self._send(checked, request, caller, is_list=sent.is_list)
        except ConflictException:
            # Perhaps with the same request: one that was under way has succeeded by now.
            if earlier := await self._earlier(request):
                return earlier
            raise

    async def _check(
        self, sent: Sequence[InvitationCreate | RefusedRow], caller: Principal
    ) -> CheckedInvitations:
        readable = {i: row for i, row in enumerate(sent) if isinstance(row, InvitationCreate)}
        named = {name for row in readable.values() for name in row.roles}
        roles = {role.name: role for role in await self.roles.named(named)}
        invited = await self.invitations.invited({row.email for row in readable.values()}, COOLDOWN)
        invalid = [
            {"index": index, **fault}
            for index, row in enumerate(sent)
            for fault in (*row_faults(row, caller, roles), *self._address_faults(row))
        ]
        await self.release_connection()
        rows, conflicts = list(readable.values()), address_conflicts(readable, invited)
        return CheckedInvitations(rows, named, invalid, conflicts)

    async def _send(
        self,
        checked: CheckedInvitations,
        request: IdempotentRequest | None,
        caller: Principal,
        *,
        is_list: bool,
    ) -> BulkCreated:
        emails = {row.email for row in checked.rows}
        async with self.transaction():
            # Locked, as by the use of a link: see `app/services/invitations/acceptance.py`.
            inviter = await self.users.get_or_raise(caller.user_id, lock=True)
            roles = {role.name: role for role in await self.roles.named(checked.roles)}
            await self.invitations.delete_expired(emails)
            invitations = [self._new(row, inviter, roles) for row in checked.rows]
            await self.invitations.add_all(invitations)
            answers = await self.issue(inviter, invitations)
            for invitation in invitations:
                facts = _facts(invitation)
                self.audit.record(Action.INVITATION_SENT, target_of(invitation), after=facts)
            if request is not None:
                without_links = [answer.model_copy(update={"link": None}) for answer in answers]
                await self.idempotency.store(request, _body(without_links, is_list=is_list))
        log.info("invitations_sent", count=len(answers), user=caller.user_id)
        return BulkCreated(_body(answers, is_list=is_list))

    async def _earlier(self, request: IdempotentRequest | None) -> BulkCreated | None:
        body = None if request is None else await self.idempotency.find(request)
        return None if body is None else BulkCreated(body, is_replay=True)

    def _address_faults(self, row: InvitationCreate | RefusedRow) -> Sequence[Detail]:
        return () if isinstance(row, RefusedRow) else self.rules.domain_faults(row.email)

    def _new(self, row: InvitationCreate, inviter: User, roles: Mapping[str, Role]) -> Invitation:
        return Invitation(
            email=row.email,
            full_name=row.full_name,
            is_superuser=row.is_superuser,
            invited_by=inviter.id,
            token_id=uuid4(),
            is_mailed=self.sends_mail,
            expires_at=datetime.now(UTC) + LIFETIME,
            granted=[roles[name] for name in sorted(set(row.roles)) if name in roles],
        )

    async def issue(self, inviter: User, invitations: Sequence[Invitation]) -> list[SentInvitation]:
        """Issue tokens for the newest links, and enqueue the mails, in the caller's transaction.

        Returns:
            The answers, with the links if the service sends no mail.
        """
        addresses = {invitation.token_id: invitation.email for invitation in invitations}
        tokens = await self.tokens.issue_all(Purpose.INVITATION, inviter, addresses)
        answers = [SentInvitation.model_validate(invitation) for invitation in invitations]
        if self.sends_mail:
            await self.queue.enqueue_all(
                [SendMail(mail="invitation", id=token_id) for token_id in tokens]
            )
            return answers
        links = [link(self.settings, Purpose.INVITATION, token) for token in tokens.values()]
        return [
            answer.model_copy(update={"link": url})
            for answer, url in zip(answers, links, strict=True)
        ]


def _body(answers: Sequence[SentInvitation], *, is_list: bool) -> bytes:
    return _SENT.dump_json(list(answers)) if is_list else answers[0].model_dump_json().encode()


def _facts(invitation: Invitation) -> Facts:
    return {
        "email": invitation.email,
        "roles": invitation.roles,
        "is_superuser": invitation.is_superuser,
    }

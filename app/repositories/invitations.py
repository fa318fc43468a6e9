"""Queries on invitations."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select

from app.core.pagination import Page, PageParams
from app.models.invitation import Invitation
from app.repositories.base import BaseRepository
from app.schemas.invitation import InvitationState

_OPEN = Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None)
_IS_LIVE = Invitation.expires_at > func.now()
_STATES: Mapping[InvitationState, tuple[ColumnElement[bool], ...]] = {
    "pending": (*_OPEN, _IS_LIVE),
    "accepted": (Invitation.accepted_at.is_not(None),),
    "revoked": (Invitation.revoked_at.is_not(None),),
    "expired": (*_OPEN, ~_IS_LIVE),
}


class InvitationRepository(BaseRepository[Invitation]):
    model = Invitation
    unique = {"uq_invitations_open": "email"}  # noqa: RUF012  # declared ClassVar in the base

    async def newest(self, state: InvitationState | None, params: PageParams) -> Page[Invitation]:
        """A page of the invitations in a state, or of all, the newest first."""
        query = select(Invitation).where(*(_STATES[state] if state else ()))
        query = query.order_by(Invitation.created_at.desc(), Invitation.id.desc())
        return await self.paginate(query, params)

    async def invited(self, emails: Collection[str], cooldown: timedelta) -> set[str]:
        """Of these addresses, those with a pending invitation, or one that was sent within
        `cooldown`, whatever became of it."""
        is_recent = Invitation.sent_at > func.now() - cooldown
        is_pending = _OPEN[0] & _OPEN[1] & _IS_LIVE
        query = select(Invitation.email).where(Invitation.email.in_(emails), is_pending | is_recent)
        return set((await self.db.scalars(query)).all())

    async def delete_expired(self, emails: Collection[str]) -> None:
        """Delete the expired invitations of these addresses, which new ones replace."""
        await self.changed(
            delete(Invitation).where(Invitation.email.in_(emails), *_OPEN, ~_IS_LIVE)
        )

    async def add_all(self, invitations: Sequence[Invitation]) -> None:
        """Insert invitations.

        Raises:
            ConflictException: an address has an open one already.
        """
        self.db.add_all(invitations)
        await self.flush()

    async def by_token(self, token_id: UUID, *, lock: bool = False) -> Invitation | None:
        """The open invitation whose newest link has this token."""
        query = select(Invitation).where(Invitation.token_id == token_id, *_OPEN)
        if lock:
            query = query.with_for_update(of=Invitation).execution_options(populate_existing=True)
        found: Invitation | None = await self.db.scalar(query)
        return found

    async def delete_before(self, moment: datetime, limit: int) -> int:
        """Delete invitations whose links expired before `moment`, whatever became of them, at most
        `limit`; the number of them."""
        return await self.delete_some(Invitation.expires_at < moment, limit=limit)

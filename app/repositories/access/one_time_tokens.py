"""Queries on one-time tokens."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, update

from app.models.access.one_time_token import OneTimeToken
from app.repositories.base import BaseRepository
from app.schemas.account import Purpose

_OPEN = OneTimeToken.used_at.is_(None), OneTimeToken.voided_at.is_(None)
_LIVE = *_OPEN, OneTimeToken.expires_at > func.now()


class OneTimeTokenRepository(BaseRepository[OneTimeToken]):
    model = OneTimeToken

    async def add_all(self, tokens: Sequence[OneTimeToken]) -> None:
        self.db.add_all(tokens)
        await self.flush()

    async def present(self, hashed: bytes, purpose: Purpose, most: int) -> OneTimeToken | None:
        """Count an attempt on a live token; None where there is none, or after `most` attempts."""
        which = OneTimeToken.hash == hashed, OneTimeToken.purpose == purpose, *_LIVE
        query = update(OneTimeToken).where(*which, OneTimeToken.attempts < most)
        query = query.values(attempts=OneTimeToken.attempts + 1).returning(OneTimeToken)
        return await self.db.scalar(query)

    async def spend(self, token_id: UUID) -> OneTimeToken | None:
        """Use a live token; None for all but the first of those who try."""
        query = update(OneTimeToken).where(OneTimeToken.id == token_id, *_LIVE)
        return await self.db.scalar(query.values(used_at=func.now()).returning(OneTimeToken))

    async def renew(self, token_id: UUID, lifetime: timedelta) -> OneTimeToken | None:
        """Let a token that was not used live for `lifetime` from now on; None where there is none,
        or it was voided."""
        query = update(OneTimeToken).where(OneTimeToken.id == token_id, *_OPEN)
        values = {"expires_at": func.now() + lifetime}
        return await self.db.scalar(query.values(values).returning(OneTimeToken))

    async def void(
        self, user_id: int, purposes: Collection[Purpose], after: datetime | None = None
    ) -> int:
        """Make a user's unused tokens of these purposes void, all or those issued after a time; the
        number of them."""
        which = [OneTimeToken.user_id == user_id, OneTimeToken.purpose.in_(purposes), *_OPEN]
        if after is not None:
            which.append(OneTimeToken.created_at > after)
        return await self.changed(update(OneTimeToken).where(*which).values(voided_at=func.now()))

    async def void_one(self, token_id: UUID) -> None:
        """Make an unused token void."""
        query = update(OneTimeToken).where(OneTimeToken.id == token_id, *_OPEN)
        await self.changed(query.values(voided_at=func.now()))

    async def is_live_since(
        self, user_id: int, purpose: Purpose, address: str, moment: datetime
    ) -> bool:
        """Whether a live token of this purpose was issued for this address after `moment`."""
        which = OneTimeToken.user_id == user_id, OneTimeToken.purpose == purpose, *_LIVE
        query = select(OneTimeToken.id).where(*which, OneTimeToken.address == address)
        return await self.db.scalar(query.where(OneTimeToken.created_at > moment)) is not None

    async def issued_since(
        self, user_id: int, purpose: Purpose, moment: datetime
    ) -> Sequence[datetime]:
        """When the user was issued tokens of this purpose, after `moment`."""
        which = OneTimeToken.user_id == user_id, OneTimeToken.purpose == purpose
        query = select(OneTimeToken.created_at).where(*which, OneTimeToken.created_at > moment)
        return (await self.db.scalars(query)).all()

    async def delete_before(self, moment: datetime, limit: int) -> int:
        """Delete tokens that expired before `moment`, at most `limit`; the number of them."""
        return await self.delete_some(OneTimeToken.expires_at < moment, limit=limit)

"""Queries on accounts that wait for their deletion."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select

from app.models.account_deletion import AccountDeletion
from app.repositories.base import BaseRepository


class AccountDeletionRepository(BaseRepository[AccountDeletion]):
    model = AccountDeletion

    async def of_user(self, user_id: int) -> AccountDeletion | None:
        """The deletion that waits for a user."""
        return await self.db.get(AccountDeletion, user_id, populate_existing=True)

    async def request(self, user_id: int, delete_after: datetime) -> None:
        """Let a user, locked and active, wait for the deletion."""
        self.db.add(AccountDeletion(user_id=user_id, delete_after=delete_after))
        await self.flush()

    async def cancel(self, user_id: int) -> bool:
        """Let a user not wait any more; whether they did."""
        query = delete(AccountDeletion).where(AccountDeletion.user_id == user_id)
        return bool(await self.changed(query))

    async def due(self, limit: int) -> Sequence[int]:
        """Ids of users whose time is over, at most `limit`."""
        query = select(AccountDeletion.user_id).where(AccountDeletion.delete_after <= func.now())
        return (await self.db.scalars(query.order_by(AccountDeletion.user_id).limit(limit))).all()

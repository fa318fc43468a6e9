"""Queries on passkeys."""

from collections.abc import Sequence

from sqlalchemy import func, select, update

from app.models.access.passkey import Passkey
from app.repositories.base import BaseRepository


class PasskeyRepository(BaseRepository[Passkey]):
    model = Passkey
    owner = "user_id"
    unique = {"uq_passkeys_credential_id": "credential"}  # noqa: RUF012  # declared ClassVar in the base

    async def of(self, user_id: int) -> Sequence[Passkey]:
        """A user's passkeys, the oldest first."""
        query = select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id)
        return (await self.db.scalars(query)).all()

    async def by_credential_id(self, credential_id: bytes) -> Passkey | None:
        query = select(Passkey).where(Passkey.credential_id == credential_id)
        return await self.db.scalar(query)

    async def use(self, passkey_id: int, sign_count: int, *, is_backed_up: bool) -> bool:
        """Record a use; False where the passkey was removed meanwhile."""
        values = {"sign_count": sign_count, "is_backed_up": is_backed_up}
        query = update(Passkey).where(Passkey.id == passkey_id)
        return bool(await self.changed(query.values(last_used_at=func.now(), **values)))

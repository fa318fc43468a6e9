"""Queries on API keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import contains_eager

from app.core.pagination import Page, PageParams
from app.models import User
from app.models.access.api_key import ApiKey
from app.repositories.access.role import roles_of
from app.repositories.base import BaseRepository


class LiveKey(NamedTuple):
    """A key, with the permissions of each of its owner's roles by its id."""

    key: ApiKey
    roles: Mapping[str, Sequence[str]]


class ApiKeyRepository(BaseRepository[ApiKey]):
    model = ApiKey

    async def live_with_user(self, key_id: UUID) -> LiveKey | None:
        """A key that has not expired, with its owner and their roles, if the owner is active."""
        query = (
            select(ApiKey, roles_of(User.id))
            .join(ApiKey.user)
            .options(contains_eager(ApiKey.user))
            .where(ApiKey.id == key_id, ApiKey.expires_at > func.now(), User.is_active)
        )
        row = (await self.db.execute(query)).one_or_none()
        return None if row is None else LiveKey(row[0], row[1] or {})

    async def find(self, key_id: UUID) -> ApiKey | None:
        return await self.db.get(ApiKey, key_id)

    async def of_user(self, user_id: int, params: PageParams) -> Page[ApiKey]:
        """A page of a user's keys, the newest first; also those that have expired."""
        query = select(ApiKey).where(ApiKey.user_id == user_id)
        return await self.paginate(query.order_by(ApiKey.created_at.desc(), ApiKey.id), params)

    async def count(self, user_id: int) -> int:
        query = select(func.count()).select_from(ApiKey).where(ApiKey.user_id == user_id)
        return await self.db.scalar(query) or 0

    async def count_live(self, user_id: int) -> int:
        """How many keys of a user have not expired."""
        is_live = ApiKey.user_id == user_id, ApiKey.expires_at > func.now()
        return await self.db.scalar(select(func.count()).select_from(ApiKey).where(*is_live)) or 0

    async def delete_expired_before(self, moment: datetime, limit: int) -> int:
        """Delete at most `limit` keys that expired before `moment`; the number of them."""
        return await self.delete_some(ApiKey.expires_at < moment, limit=limit)

    async def remove(self, key_id: UUID, user_id: int) -> ApiKey | None:
        """Delete a user's key; as it was, or None if there is none."""
        query = delete(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == user_id)
        return await self.db.scalar(query.returning(ApiKey))

    async def remove_since(self, user_id: int, moment: datetime) -> Sequence[ApiKey]:
        """Delete the keys that a user has had from `moment` on; as they were."""
        query = delete(ApiKey).where(ApiKey.user_id == user_id, ApiKey.created_at >= moment)
        return (await self.db.scalars(query.returning(ApiKey))).all()

    async def touch(self, key_id: UUID, after: timedelta) -> None:
        """Set that a key is in use now, unless that was set less than `after` ago."""
        is_due = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.now() - after)
        query = update(ApiKey).where(ApiKey.id == key_id, is_due)
        await self.db.execute(query.values(last_used_at=func.now()))

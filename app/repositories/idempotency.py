"""Queries on stored responses of idempotent requests."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.models import IdempotentResponse
from app.repositories.base import BaseRepository


class StoredResponse(NamedTuple):
    """A response, and the fingerprint of the request's body."""

    fingerprint: bytes
    body: bytes


class IdempotentResponseRepository(BaseRepository[IdempotentResponse]):
    model = IdempotentResponse

    async def find(
        self, user_id: int, operation: str, key: str, since: datetime
    ) -> StoredResponse | None:
        """The response under this key, if stored after `since`."""
        query = select(IdempotentResponse.fingerprint, IdempotentResponse.body).where(
            IdempotentResponse.user_id == user_id,
            IdempotentResponse.operation == operation,
            IdempotentResponse.key == key,
            IdempotentResponse.created_at > since,
        )
        row = (await self.db.execute(query)).one_or_none()
        return None if row is None else StoredResponse(*row)

    async def store(self, values: dict[str, object], since: datetime) -> bool:
        """Insert a response, unless the key has one that is newer than `since`; whether it was
        inserted.

        Waits for the end of another transaction that inserts one under the same key.

        Args:
            values: by column.
            since: an older response is replaced.
        """
        query = insert(IdempotentResponse).values(created_at=datetime.now(since.tzinfo), **values)
        query = query.on_conflict_do_update(
            constraint="pk_kept_answers",
            set_=dict(query.excluded),
            where=IdempotentResponse.created_at <= since,
        )
        return await self.db.scalar(query.returning(IdempotentResponse.user_id)) is not None

    async def delete_before(self, moment: datetime, limit: int) -> int:
        """Delete responses stored before `moment`, at most `limit`; the number of them."""
        return await self.delete_some(IdempotentResponse.created_at < moment, limit=limit)

"""Queries on stored answers of idempotent requests."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.models import KeptAnswer
from app.repositories.base import BaseRepository


class StoredAnswer(NamedTuple):
    """An answer, and the fingerprint of the request's body."""

    fingerprint: bytes
    body: bytes


class KeptAnswerRepository(BaseRepository[KeptAnswer]):
    model = KeptAnswer

    async def find(
        self, user_id: int, operation: str, key: str, since: datetime
    ) -> StoredAnswer | None:
        """The answer under this key, if stored after `since`."""
        query = select(KeptAnswer.fingerprint, KeptAnswer.body).where(
            KeptAnswer.user_id == user_id,
            KeptAnswer.operation == operation,
            KeptAnswer.key == key,
            KeptAnswer.created_at > since,
        )
        row = (await self.db.execute(query)).one_or_none()
        return None if row is None else StoredAnswer(*row)

    async def store(self, values: dict[str, object], since: datetime) -> bool:
        """Insert an answer, unless the key has one that is newer than `since`; whether it was
        inserted.

        Waits for the end of another transaction that inserts one under the same key.

        Args:
            values: by column.
            since: an older answer is replaced.
        """
        query = insert(KeptAnswer).values(created_at=datetime.now(since.tzinfo), **values)
        query = query.on_conflict_do_update(
            constraint="pk_kept_answers",
            set_=dict(query.excluded),
            where=KeptAnswer.created_at <= since,
        )
        return await self.db.scalar(query.returning(KeptAnswer.user_id)) is not None

    async def delete_before(self, moment: datetime, limit: int) -> int:
        """Delete answers stored before `moment`, at most `limit`; the number of them."""
        return await self.delete_some(KeptAnswer.created_at < moment, limit=limit)

"""Queries on kept answers."""

from datetime import datetime

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert

from app.models import KeptAnswer
from app.repositories.base import BaseRepository


class KeptAnswerRepository(BaseRepository[KeptAnswer]):
    model = KeptAnswer

    async def find(
        self, user_id: int, operation: str, key: str, since: datetime
    ) -> Row[bytes, int, bytes] | None:
        """`fingerprint`, `status` and `body` under this key, if kept after `since`."""
        query = select(KeptAnswer.fingerprint, KeptAnswer.status, KeptAnswer.body).where(
            KeptAnswer.user_id == user_id,
            KeptAnswer.operation == operation,
            KeptAnswer.key == key,
            KeptAnswer.created_at > since,
        )
        return (await self.db.execute(query)).one_or_none()

    async def keep(self, values: dict[str, object], since: datetime) -> bool:
        """Keep an answer, unless one is there that was given after `since`; whether it was kept.

        Where another transaction keeps one under the same key at this moment, its end is waited
        for.

        Args:
            values: by column.
            since: what is older is replaced.
        """
        query = insert(KeptAnswer).values(created_at=datetime.now(since.tzinfo), **values)
        query = query.on_conflict_do_update(
            constraint="pk_kept_answers",
            set_=dict(query.excluded),
            where=KeptAnswer.created_at <= since,
        )
        return await self.db.scalar(query.returning(KeptAnswer.status)) is not None

    async def delete_before(self, moment: datetime, limit: int) -> int:
        """Delete answers given before `moment`, at most `limit`; how many."""
        return await self.delete_some(KeptAnswer.created_at < moment, limit=limit)

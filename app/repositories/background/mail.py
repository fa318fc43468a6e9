"""Queries on the records of mails."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from app.core.pagination import Page, PageParams
from app.models.background.mail import Mail
from app.repositories.base import BaseRepository


class MailAttempt(NamedTuple):
    """The last attempt to send a mail: the state after it, its number, the server's reply."""

    state: str
    attempts: int
    reply: str


class MailRepository(BaseRepository[Mail]):
    model = Mail

    async def find(self, mail_id: UUID) -> MailAttempt | None:
        """The last attempt; None before the first."""
        query = select(Mail.state, Mail.attempts, Mail.reply).where(Mail.id == mail_id)
        row = (await self.db.execute(query)).one_or_none()
        return None if row is None else MailAttempt(*row)

    async def record(self, mail_id: UUID, values: dict[str, Any]) -> None:
        """Insert or update a record.

        Args:
            mail_id: its id.
            values: by column.
        """
        query = insert(Mail).values(id=mail_id, **values)
        query = query.on_conflict_do_update(
            index_elements=[Mail.id], set_={**values, "updated_at": func.now()}
        )
        await self.db.execute(query)

    async def newest(self, state: str | None, params: PageParams) -> Page[Mail]:
        """A page of the records, the newest first.

        Args:
            state: of the mails; None for any.
            params: of the page.
        """
        which = () if state is None else (Mail.state == state,)
        newest = Mail.created_at.desc(), Mail.id.desc()
        return await self.paginate(select(Mail).where(*which).order_by(*newest), params)

    async def count_since(self, moment: datetime, limit: int) -> dict[str, int]:
        """The newest mails begun since `moment` by state, at most `limit` of them."""
        newest = select(Mail.state).where(Mail.created_at > moment)
        some = newest.order_by(Mail.created_at.desc()).limit(limit).subquery()
        query = select(some.c.state, func.count()).group_by(some.c.state)
        rows = (await self.db.execute(query)).all()
        return {row[0]: row[1] for row in rows}

    async def has_sent(self, user_id: int, kind: str, moment: datetime, number: int) -> bool:
        """Whether this many mails of a kind were sent about a user since `moment`."""
        which = Mail.user_id == user_id, Mail.kind == kind, Mail.state == "sent"
        some = select(Mail.id).where(*which, Mail.created_at > moment).limit(number).subquery()
        return (await self.db.scalar(select(func.count()).select_from(some)) or 0) >= number

    async def delete_before(self, moment: datetime, limit: int) -> int:
        """Delete records of mails begun before `moment`, at most `limit`; the number of them."""
        return await self.delete_some(Mail.created_at < moment, limit=limit)

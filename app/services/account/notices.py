"""`Notices`: mails that tell users what has happened to their account."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.access.api_key import ApiKeyRepository
from app.repositories.background.jobs import JobQueue
from app.schemas.background.mail import SendMail


class Notices:
    """Enqueues notices in the caller's transaction, to the address that the user has in it: one
    that is changed right after must not get them instead.

    Args:
        db: the caller's session.
        is_on: whether the service sends mail. Without, notices would only be failed jobs.
    """

    def __init__(self, db: AsyncSession, *, is_on: bool) -> None:
        self._queue = JobQueue(db)
        self._keys = ApiKeyRepository(db)
        self._is_on = is_on

    async def send(self, kind: str, user_id: int, to: str, **data: str) -> None:
        """Enqueue a notice.

        Args:
            kind: of mail.
            user_id: whom it is about.
            to: the recipient.
            data: values for the template, besides `at`.
        """
        if self._is_on:
            values = {"at": moment_in_words(datetime.now(UTC)), **data}
            await self._queue.enqueue(SendMail(mail=kind, user_id=user_id, to=to, data=values))

    async def send_password_changed(self, user_id: int, to: str) -> None:
        """Enqueue the notice of a new password, which also tells how many API keys still work."""
        if self._is_on:
            keys = await self._keys.count_live(user_id)
            await self.send("password-changed", user_id, to, keys=str(keys))


def moment_in_words(moment: datetime) -> str:
    """`27 November 2026, 14:05 UTC`"""
    return f"{moment:%-d %B %Y, %H:%M} UTC"

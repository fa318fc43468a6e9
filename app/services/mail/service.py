"""`MailService`: enqueues mails, sends them, and records the result."""

import asyncio
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, NoReturn

import anyio
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.exceptions import AppException
from app.core.jobs import JobGivenUp
from app.core.pagination import Page, PageParams
from app.database import translated_errors
from app.models.background.mail import Mail
from app.repositories.background.jobs import JobQueue
from app.repositories.background.mail import MailRepository
from app.schemas.background.mail import MailContext, MailState, SendMail
from app.services.base import BaseService
from app.services.mail.errors import MailDeferredError, MailError, MailRefusedError
from app.services.mail.kinds import KINDS
from app.services.mail.mailer import Mailer

log = structlog.get_logger("app.mail")

ATTEMPTS = 24
"""Attempts until a mail has failed: with the delays of its job, about fifteen hours."""
RECORDING = 60.0
"""Seconds in which an accepted mail is to be recorded, though the database be away."""
_RECORDING_DELAY = 0.5


class MailService(BaseService):
    """Mails: enqueued in the caller's transaction, sent by a job.

    Args:
        db: the request's or the job's session.
        mailer: the process's.
        settings: given to the kinds of mail.
    """

    def __init__(self, db: AsyncSession, mailer: Mailer, settings: Settings) -> None:
        super().__init__(db)
        self.mails = MailRepository(db)
        self.queue = JobQueue(db)
        self._mailer = mailer
        self._settings = settings

    async def enqueue(self, mail: SendMail) -> None:
        """Enqueue a mail in the caller's transaction: it is sent if that is committed."""
        await self.queue.enqueue(mail)

    async def deliver(self, mail: SendMail) -> str:
        """Make one attempt to send a mail, unless it was accepted or dropped before.

        It is recorded as sent right after the server has accepted it. A process that dies between
        the two sends it again, with the same Message-ID.

        Returns:
            The server's reply, or why nothing was sent.

        Raises:
            JobGivenUp: the mail can never be sent, or this was the last attempt.
            MailDeferredError: it was not accepted at this moment.
            Exception: the mail could not be made; its job tries again.
        """
        before = await self.mails.find(mail.id)
        await self.release_connection()
        if before is not None and before.state in {MailState.SENT, MailState.DROPPED}:
            return before.reply
        has_tried = before is not None and before.state != MailState.FAILED
        attempt = _Attempt(mail, before.attempts + 1 if before and has_tried else 1)
        try:
            context = await self._load_context(mail)
            if context is None:
                return await self._record(attempt, MailState.DROPPED, "no recipient")
            attempt.recipient = context.to
            return await self._send(attempt, context)
        except MailRefusedError as error:
            await self._give_up(attempt, error)
        except Exception as error:  # a template or a query that fails, too
            if attempt.number >= ATTEMPTS:
                await self._give_up(attempt, error)
            await self._record(attempt, MailState.DEFERRED, _reason(error))
            raise

    async def newest(self, state: MailState | None, params: PageParams) -> Page[Mail]:
        """A page of the records, the newest first."""
        return await self.mails.newest(state, params)

    async def purge(self) -> int:
        """Delete the records of mails begun before `MAIL_RETENTION`; the number of them."""
        moment = datetime.now(UTC) - timedelta(seconds=self._settings.mail.retention)
        return await self.in_batches(lambda limit: self.mails.delete_before(moment, limit))

    async def _load_context(self, mail: SendMail) -> MailContext | None:
        kind = KINDS.get(mail.mail)
        if kind is None:
            raise MailDeferredError("the kind of mail is unknown: is it of another release?")
        async with self.transaction():
            return await kind.load_context(mail, self.db, self._settings)

    async def _send(self, attempt: "_Attempt", context: MailContext) -> str:
        message = self._mailer.message(attempt.mail.id, attempt.mail.mail, context)
        async with self._mailer.sender.connected() as session:
            reply = await session.send(message)
            # Neither a stop of the worker nor the timeout of the job comes between the two.
            with anyio.CancelScope(shield=True):
                await self._record_sent(attempt, reply)
        return reply

    async def _record_sent(self, attempt: "_Attempt", reply: str) -> None:
        """Record that the mail was accepted, once the database is there: it would be sent again."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + RECORDING
        while True:
            try:
                with translated_errors():
                    await self._record(attempt, MailState.SENT, reply)
                    return
            except (AppException, OSError) as error:
                log.warning("mail_not_recorded", mail=str(attempt.mail.id), reason=repr(error))
                if loop.time() > deadline:
                    raise
            await asyncio.sleep(_RECORDING_DELAY)

    async def _give_up(self, attempt: "_Attempt", error: Exception) -> NoReturn:
        await self._record(attempt, MailState.FAILED, _reason(error))
        raise JobGivenUp(_reason(error)) from error

    async def _record(self, attempt: "_Attempt", state: MailState, reply: str) -> str:
        values = attempt.values() | {"state": state.value, "reply": reply[:400]}
        async with self.transaction():
            await self.mails.record(attempt.mail.id, values)
        log.info("mail", mail=str(attempt.mail.id), **values)
        return reply


class _Attempt:
    """One attempt to send a mail."""

    def __init__(self, mail: SendMail, number: int) -> None:
        self.mail = mail
        self.number = number
        self.recipient = mail.to or ""
        self._began = perf_counter()

    def values(self) -> dict[str, Any]:
        """By column of the record."""
        return {
            "kind": self.mail.mail,
            "user_id": self.mail.user_id,
            "recipient": masked(self.recipient),
            "attempts": self.number,
            "seconds": round(perf_counter() - self._began, 3),
        }


def _reason(error: Exception) -> str:
    """What is shown of an error: of those that are not of mail only the kind, for their text may
    hold values of the mail."""
    return str(error) if isinstance(error, MailError) else type(error).__name__


def masked(email: str) -> str:
    """`a…@example.com`: enough to recognise an address that one knows."""
    local, at, domain = email.rpartition("@")
    return f"{local[:1]}…{at}{domain}" if at else ""

"""R16: workers killed at random moments while jobs and mails are committed or rolled back."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from email.message import EmailMessage
from functools import partial
from itertools import count
from typing import Any

import asyncpg
from sqlalchemy import text

from app.database import close_engine, get_engine, get_session_maker
from app.database.migrations import migrate
from app.repositories.background.jobs import JobQueue
from app.schemas.background.mail import SendMail
from tests.faults.kill_outcomes import JobOutcome, MailOutcome, Outcome
from tests.faults.killed_workers import DURATIONS, Killing, Mark, settings_of
from tests.polling import within_async
from tests.smtp_server import MailServer, mail_server

PATIENCE = 60.0
"""Seconds in which all jobs have to be done once no worker is killed any more."""
IDLE = 5.0
"""Seconds that workers may take to send a mail, before one is killed all the same."""
MAILS = 4
"""Every so many transactions, one enqueues a mail too."""
TABLES = "CREATE TABLE committed (number int, mail text); CREATE TABLE done (number int)"
RECORDED = "SELECT '<' || id || '@example.com>' FROM mails WHERE state = 'sent'"
UNFINISHED = f"""
    SELECT number FROM committed WHERE number NOT IN (SELECT number FROM done)
    OR mail IS NOT NULL AND mail NOT IN ({RECORDED}) LIMIT 1
"""

Interruption = Callable[[], Awaitable[None]]


async def run(url: str, kills: int, interrupt: Interruption | None = None) -> Outcome:
    """Enqueue jobs and mails, and kill workers that run them; then let all jobs end.

    Args:
        url: of an empty database.
        kills: how many.
        interrupt: awaited once, after half of the kills.
    """
    engine = get_engine(settings_of(url).database)
    await migrate(engine)
    async with engine.begin() as connection:
        for statement in TABLES.split(";"):
            await connection.execute(text(statement))
    await close_engine(engine)
    async with mail_server() as server:
        killing = Killing(url, server.port)
        mails = MailOutcome(killed=killing.killed)
        killing.start()
        try:
            async with _enqueuing(url, server):
                for kill in range(kills):
                    one_more = partial(server.has_received, len(server.received) + 1)
                    await within_async(IDLE, one_more)  # a worker has to be at work
                    await asyncio.sleep(random.uniform(0.0, 1.0))
                    killing.kill_one()
                    if interrupt is not None and kill == kills // 2:
                        await interrupt()
                    for mail in await _values(url, RECORDED):
                        mails.records.setdefault(mail, len(server.received))
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while await _values(url, UNFINISHED):  # noqa: ASYNC110  # nothing tells
                        await asyncio.sleep(0.2)
        finally:
            killing.end()
        mails.accepted = [(mail["Message-ID"], _worker_of(mail)) for mail in server.received]
    mails.committed = {*await _values(url, "SELECT mail FROM committed WHERE mail IS NOT NULL")}
    jobs = JobOutcome(
        {*await _values(url, "SELECT number FROM committed")},
        await _values(url, "SELECT number FROM done"),
    )
    return Outcome(kills, jobs, mails)


def _worker_of(mail: EmailMessage) -> str:
    (sender,) = mail["From"].addresses
    return str(sender.display_name)


async def _values(url: str, query: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [value for (value,) in await connection.fetch(query)]
    finally:
        await connection.close()


@asynccontextmanager
async def _enqueuing(url: str, server: MailServer) -> AsyncIterator[None]:
    """Transactions that enqueue a job, or a job and a mail, of which a third is rolled back."""
    engine = get_engine(settings_of(url).database)
    session_maker = get_session_maker(engine)
    numbers = count(1)

    async def enqueue() -> None:
        number = next(numbers)
        mail = SendMail(mail="test-mail", to="ada@example.com", data={"requested_at": "now"})
        message_id = f"<{mail.id}@example.com>" if number % MAILS == 0 else None
        values = {"number": number, "mail": message_id}
        async with session_maker() as db:
            await db.execute(text("INSERT INTO committed VALUES (:number, :mail)"), values)
            await JobQueue(db).enqueue_all([Mark(number=number), *([mail] if message_id else [])])
            if random.random() < 1 / 3:
                await db.rollback()
            else:
                await db.commit()

    async def keep_on() -> None:
        while True:
            server.delay, server.answer_delay = random.choices(DURATIONS, k=2)
            await asyncio.gather(enqueue(), return_exceptions=True)  # the database may be away
            await asyncio.sleep(0.01)

    task = asyncio.create_task(keep_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        await close_engine(engine)

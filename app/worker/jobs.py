"""The table of jobs: every kind, and what runs it."""

from typing import Any

from app.runtime import Runtime
from app.schemas.jobs import PurgeAnswers, PurgeSessions
from app.services.idempotency import IdempotencyService
from app.worker.job import Job


async def purge_sessions(runtime: Runtime, _: PurgeSessions) -> None:
    async with runtime.session_maker() as db:
        await runtime.session_service(db).purge()


async def purge_answers(runtime: Runtime, _: PurgeAnswers) -> None:
    async with runtime.session_maker() as db:
        await IdempotencyService(db).purge()


JOBS: tuple[Job[Any], ...] = (
    Job(PurgeSessions, purge_sessions, concurrency=1, cron="7 * * * *"),
    Job(PurgeAnswers, purge_answers, concurrency=1, cron="17 * * * *"),
)

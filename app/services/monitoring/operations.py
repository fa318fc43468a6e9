"""`OperationsService`: queue, workers and mails at a glance, counted and cached for a minute."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.cache import cache
from app.database import translated_errors
from app.repositories.background.job_list import JobListRepository
from app.repositories.background.mail import MailRepository
from app.schemas.monitoring.operations import (
    MAX_COUNTED,
    MailSummary,
    Operations,
    QueueSummary,
)
from app.services.monitoring.workers import WorkerPresence

OPERATIONS_TTL = 60
"""Seconds that the figures are cached."""
MAIL_WINDOW = timedelta(hours=24)


class OperationsService:
    """Figures of background work. One for the process: it opens a session only where they are not
    cached.

    Args:
        session: opens a session.
        workers: which of them were seen.
    """

    def __init__(
        self,
        session: Callable[[], AbstractAsyncContextManager[AsyncSession]],
        workers: WorkerPresence,
    ) -> None:
        self._session = session
        self.workers = workers

    @cache(expire=OPERATIONS_TTL)
    async def get_operations(self) -> Operations:
        """Count in two statements, each of which reads a bounded number of rows.

        Raises:
            AppException: see `translate`.
        """
        since = datetime.now(UTC) - MAIL_WINDOW
        with translated_errors():
            async with self._session() as db:
                queue = await JobListRepository(db).count(MAX_COUNTED + 1)
                mails = await MailRepository(db).count_since(since, MAX_COUNTED + 1)
        return Operations(
            queue=QueueSummary.model_validate(queue),
            mail=MailSummary.model_validate(mails),
            workers=await self.workers.count(),
        )

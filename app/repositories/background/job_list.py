"""Queries on jobs for the admin pages: lists by state, one job with its history, retry, cancel."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pgqueuer.domain.types import JobId
from pgqueuer.queries import Queries
from sqlalchemy import (
    ColumnElement,
    Float,
    Select,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.queue import SessionDriver
from app.models.background.job import JobEvent, QueuedJob

MAX_HISTORY = 100
"""Events of a job that are shown."""
_ENDED = {"done": "successful", "cancelled": "canceled"}
_DUE = QueuedJob.execute_after <= func.now()
_IS = {
    "waiting": and_(QueuedJob.status == "queued", _DUE),
    "delayed": and_(QueuedJob.status == "queued", ~_DUE),
    "running": QueuedJob.status == "picked",
    "failed": QueuedJob.status == "failed",
}
_STATE = case(*((condition, literal(state)) for state, condition in _IS.items()))
# When it is due, began or failed; of one that is due, when it was enqueued.
_MOMENT = case(
    (_IS["waiting"], QueuedJob.created),
    (_IS["delayed"], QueuedJob.execute_after),
    else_=QueuedJob.updated,
)
_REASON = JobEvent.failure["exception_message"].as_string()
_LAST_REASON = (
    select(_REASON)
    .where(JobEvent.job_id == QueuedJob.id, JobEvent.failure.is_not(None))
    .order_by(JobEvent.created.desc())
    .limit(1)
    .scalar_subquery()
)


class JobRow(NamedTuple):
    """A job in a list; see `JobSummary`."""

    id: int
    kind: str
    state: str
    attempts: int | None
    moment: datetime
    reason: str | None


class QueueCounts(NamedTuple):
    """Jobs by state, and the seconds that the oldest waiting one has been due."""

    waiting: int
    delayed: int
    running: int
    failed: int
    oldest: float | None


class JobListRepository:
    """Reads and changes jobs in the session's transaction."""

    def __init__(self, db: AsyncSession) -> None:
        self.db = db

    async def page(self, state: str, kind: str | None, limit: int, offset: int) -> list[JobRow]:
        """Jobs of a state, the newest first."""
        if state in _ENDED:
            query = _ended(literal(state)).where(JobEvent.status == _ENDED[state])
            column = JobEvent.kind
        else:
            query = _queued(_IS[state])
            column = QueuedJob.kind
        if kind is not None:
            query = query.where(column == kind)
        return await self._rows(query.limit(limit).offset(offset))

    async def count(self, limit: int) -> QueueCounts:
        """Jobs by state, each counted up to `limit`; the oldest is one of those counted."""
        found = {
            state: select(QueuedJob.execute_after).where(condition).limit(limit).subquery()
            for state, condition in _IS.items()
        }
        columns: list[ColumnElement[Any]] = [
            select(func.count()).select_from(some).scalar_subquery() for some in found.values()
        ]
        oldest = select(func.min(found["waiting"].c.execute_after)).scalar_subquery()
        columns.append(cast(func.extract("epoch", func.now() - oldest), Float))
        return QueueCounts(*(await self.db.execute(select(*columns))).one())

    async def existing(self, ids: Sequence[int]) -> list[JobRow]:
        """The jobs with these ids that are not over."""
        return await self._rows(_queued(QueuedJob.id.in_(ids)))

    async def find(self, job_id: int) -> JobRow | None:
        """A job, also one that is over."""
        is_over = JobEvent.status.in_(_ENDED.values())
        state = case((JobEvent.status == "successful", "done"), else_="cancelled")
        ended = _ended(state).where(JobEvent.job_id == job_id, is_over)
        found = await self.existing([job_id]) or await self._rows(ended.limit(1))
        return found[0] if found else None

    async def payload(self, job_id: int) -> bytes | None:
        return await self.db.scalar(select(QueuedJob.payload).where(QueuedJob.id == job_id))

    async def history(self, job_id: int) -> Sequence[Any]:
        """The last changes of a job, in order: status, created, reason."""
        query = select(JobEvent.id, JobEvent.status, JobEvent.created, _REASON.label("reason"))
        query = query.where(JobEvent.job_id == job_id).order_by(JobEvent.created.desc())
        rows = (await self.db.execute(query.limit(MAX_HISTORY))).all()
        return sorted(rows, key=lambda row: row.id)

    async def kinds(self) -> list[str]:
        """All kinds of which a job was counted."""
        counted = "SELECT DISTINCT entrypoint FROM pgqueuer_statistics ORDER BY 1"
        rows = await SessionDriver(await self.db.connection()).fetch(counted)
        return [str(row["entrypoint"]) for row in rows]

    async def retry(self, ids: Sequence[int]) -> None:
        """Queue failed jobs again, with all their attempts, and have delayed ones run at once."""
        await (await self._queries()).requeue_jobs([JobId(job_id) for job_id in ids])
        is_delayed = and_(QueuedJob.id.in_(ids), _IS["delayed"])
        statement = update(QueuedJob).where(is_delayed).values(execute_after=func.now())
        await self.db.execute(statement, execution_options={"synchronize_session": False})

    async def cancel(self, ids: Sequence[int]) -> None:
        """Delete jobs, and interrupt those that run."""
        await (await self._queries()).mark_job_as_cancelled([JobId(job_id) for job_id in ids])

    async def _queries(self) -> Queries:
        return Queries(SessionDriver(await self.db.connection()))

    async def _rows(self, query: Select[Any]) -> list[JobRow]:
        return [JobRow(*row) for row in await self.db.execute(query)]


def _queued(*which: ColumnElement[bool]) -> Select[Any]:
    columns = QueuedJob.id, QueuedJob.kind, _STATE, QueuedJob.attempts, _MOMENT, _LAST_REASON
    return select(*columns).where(*which).order_by(QueuedJob.id.desc())


def _ended(state: ColumnElement[str]) -> Select[*tuple[Any, ...]]:
    columns = JobEvent.job_id, JobEvent.kind, state, null(), JobEvent.created, null()
    return select(*columns).order_by(JobEvent.created.desc(), JobEvent.id.desc())

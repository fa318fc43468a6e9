"""The queue of background jobs, in the caller's transaction."""

from collections.abc import Sequence
from datetime import timedelta

from asgi_correlation_id import correlation_id
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.jobs import JobPayload
from app.database.driver import SAME_COLUMNS
from app.repositories.audit import WaitingEvents, insert_events

MAX_PAYLOAD = 65_536
"""Bytes. A payload names rows; it does not carry them."""
_AT_ONCE = timedelta(0)
# What pgqueuer's own statement does, which is made for many jobs, looks up the name of the sequence
# each time, and takes 0.2 ms longer: a seventh of a small change (row P13 of the benchmark).
_JOB = """
    job AS (
        INSERT INTO pgqueuer
            (priority, status, entrypoint, payload, execute_after, dedupe_key, headers)
        VALUES (0, 'queued', $1, $2, now() + $3, $4, $5)
        ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL
            DO NOTHING
        RETURNING id, entrypoint
    )
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, 0 FROM job
    RETURNING job_id
"""
_ENQUEUE = f"{SAME_COLUMNS} WITH {_JOB}"
# The audit events of the transaction go along, which saves their round trip.
_ENQUEUE_WITH_EVENTS = f"{SAME_COLUMNS} WITH event AS ({insert_events('$6')}), {_JOB}"
_Values = tuple[str, bytes, timedelta, str | None, str | None]


class JobQueue:
    """Enqueues jobs on the session's connection: they exist if its transaction is committed."""

    def __init__(self, db: AsyncSession) -> None:
        self.db = db

    async def enqueue(
        self, payload: JobPayload, *, delay: timedelta = _AT_ONCE, unique: str | None = None
    ) -> int | None:
        """Enqueue a job, in one round trip.

        Args:
            payload: the kind of job, and its input.
            delay: after the commit, until it is run at the earliest.
            unique: a key. No job is enqueued while another one under this key waits or runs; one
                that runs may have read the rows before this transaction changed them.

        Returns:
            The id of the job; None where there is one under the key `unique`.

        Raises:
            ValueError: the payload is longer than `MAX_PAYLOAD`.
        """
        connection = await self.db.connection()
        values = _values(payload, delay, unique)
        events = WaitingEvents(self.db).take()
        if events is None:
            return (await connection.exec_driver_sql(_ENQUEUE, values)).scalar()
        result = await connection.exec_driver_sql(_ENQUEUE_WITH_EVENTS, (*values, events))
        return result.scalar()

    async def enqueue_all(
        self, payloads: Sequence[JobPayload], *, delay: timedelta = _AT_ONCE
    ) -> None:
        """Enqueue several jobs, in one round trip.

        Raises:
            ValueError: a payload is longer than `MAX_PAYLOAD`.
        """
        connection = await self.db.connection()
        values = [_values(payload, delay, None) for payload in payloads]
        if values:
            await connection.exec_driver_sql(_ENQUEUE, values)


def _values(payload: JobPayload, delay: timedelta, unique: str | None) -> _Values:
    encoded = payload.model_dump_json().encode()
    if len(encoded) > MAX_PAYLOAD:
        raise ValueError(f"the payload of {payload.kind} is longer than {MAX_PAYLOAD} bytes")
    request_id = correlation_id.get()  # of the request that causes the job, for the log
    headers = None if request_id is None else to_json({"request_id": request_id}).decode()
    return payload.kind, encoded, delay, unique, headers

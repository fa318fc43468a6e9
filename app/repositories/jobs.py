"""The queue of background jobs, in the caller's transaction."""

from collections.abc import Sequence
from datetime import timedelta

from asgi_correlation_id import correlation_id
from pgqueuer.queries import Queries
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.jobs import JobPayload
from app.database.queue import SessionDriver

MAX_PAYLOAD = 65_536
"""Bytes. A payload names rows; it does not carry them."""
_AT_ONCE = timedelta(0)


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
        ids = await self._enqueue([payload], delay, [unique])
        return ids[0]

    async def enqueue_all(
        self, payloads: Sequence[JobPayload], *, delay: timedelta = _AT_ONCE
    ) -> list[int | None]:
        """Enqueue several jobs, in one round trip.

        Raises:
            ValueError: a payload is longer than `MAX_PAYLOAD`.
        """
        return await self._enqueue(payloads, delay, [None] * len(payloads))

    async def _enqueue(
        self, payloads: Sequence[JobPayload], delay: timedelta, keys: list[str | None]
    ) -> list[int | None]:
        queries = Queries(SessionDriver(await self.db.connection()))
        ids = await queries.enqueue(
            [payload.kind for payload in payloads],
            [_encoded(payload) for payload in payloads],
            [0] * len(payloads),
            [delay] * len(payloads),
            keys,
            [_headers()] * len(payloads),
            on_conflict="skip",
        )
        return list(ids)


def _headers() -> dict[str, str] | None:
    """The request that causes the job, for the log."""
    request_id = correlation_id.get()
    return None if request_id is None else {"request_id": request_id}


def _encoded(payload: JobPayload) -> bytes:
    encoded = payload.model_dump_json().encode()
    if len(encoded) > MAX_PAYLOAD:
        raise ValueError(f"the payload of {payload.kind} is longer than {MAX_PAYLOAD} bytes")
    return encoded

"""Idempotency keys: a repeated request gets the response of the first one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hmac import compare_digest

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import ConflictException
from app.repositories.idempotency import IdempotentResponseRepository
from app.services.base import BaseService

RETENTION = timedelta(hours=24)
ANONYMOUS = 0
"""In place of a user's id, for senders without an account; ids begin at 1."""


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request that its sender may repeat.

    Attributes:
        user_id: the sender, or `ANONYMOUS`.
        operation: the name of the operation.
        key: the sender's name for the request; of an anonymous one, its hash with their network.
        fingerprints: of its body, by the secret key in use and by those before it.
    """

    user_id: int
    operation: str
    key: str
    fingerprints: Sequence[bytes]


class IdempotencyService(BaseService):
    """Stores the JSON bodies of responses for a day. Only responses of success are stored."""

    def __init__(self, db: AsyncSession) -> None:
        super().__init__(db)
        self.responses = IdempotentResponseRepository(db)

    async def find(self, request: IdempotentRequest) -> bytes | None:
        """The body of the response to an earlier request with this key.

        Raises:
            ConflictException: the key belongs to a request with another body.
        """
        since = datetime.now(UTC) - RETENTION
        response = await self.responses.find(request.user_id, request.operation, request.key, since)
        await self.release_connection()
        if response is None:
            return None
        if not any(compare_digest(response.fingerprint, known) for known in request.fingerprints):
            raise _used_otherwise()
        return response.body

    async def store(self, request: IdempotentRequest, body: bytes) -> None:
        """Store the body of a response, in the caller's transaction.

        Raises:
            ConflictException: a request with the same key was faster; the caller has to roll back.
        """
        values: dict[str, object] = {
            "user_id": request.user_id,
            "operation": request.operation,
            "key": request.key,
            "fingerprint": request.fingerprints[0],
            "body": body,
        }
        if not await self.responses.store(values, datetime.now(UTC) - RETENTION):
            raise _used_otherwise()

    async def purge(self) -> int:
        """Delete the responses that are older than a day; the number of them."""
        moment = datetime.now(UTC) - RETENTION
        return await self.in_batches(lambda limit: self.responses.delete_before(moment, limit))


def _used_otherwise() -> ConflictException:
    message = "was used for another request"
    return ConflictException(
        "The Idempotency-Key was used already",
        details=[{"field": "Idempotency-Key", "message": message, "code": "repeated"}],
    )

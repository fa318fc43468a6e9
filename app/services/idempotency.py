"""Requests that may be repeated, and are carried out once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hmac import compare_digest

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import ConflictException
from app.repositories.idempotency import KeptAnswerRepository
from app.services.base import BaseService

KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Answer:
    """One that is complete: it can be kept, and given again as it was. `body` is JSON."""

    status: int
    body: bytes
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request whose sender may repeat it.

    Attributes:
        user_id: who sends it.
        operation: what is asked for.
        key: the sender's name for it.
        fingerprints: of its body, by the key in use and by those before it.
    """

    user_id: int
    operation: str
    key: str
    fingerprints: Sequence[bytes]


class IdempotencyService(BaseService):
    """Keeps answers for a day."""

    def __init__(self, db: AsyncSession) -> None:
        super().__init__(db)
        self.kept = KeptAnswerRepository(db)

    async def find(self, attempt: Attempt) -> Answer | None:
        """The answer that an earlier attempt was given.

        Raises:
            ConflictException: the key belongs to a request with another body.
        """
        since = datetime.now(UTC) - KEPT_FOR
        kept = await self.kept.find(attempt.user_id, attempt.operation, attempt.key, since)
        await self.release_connection()
        if kept is None:
            return None
        if not any(compare_digest(kept.fingerprint, known) for known in attempt.fingerprints):
            raise _used_otherwise()
        return Answer(kept.status, kept.body, is_replay=True)

    async def keep(self, attempt: Attempt, answer: Answer) -> None:
        """Keep the answer, within the transaction that makes it true.

        Raises:
            ConflictException: another attempt was faster; what this one did must be undone.
        """
        values: dict[str, object] = {
            "user_id": attempt.user_id,
            "operation": attempt.operation,
            "key": attempt.key,
            "fingerprint": attempt.fingerprints[0],
            "status": answer.status,
            "body": answer.body,
        }
        if not await self.kept.keep(values, datetime.now(UTC) - KEPT_FOR):
            raise _used_otherwise()

    async def purge(self) -> int:
        """Delete the answers that are kept no longer; how many there were."""
        moment = datetime.now(UTC) - KEPT_FOR
        return await self.in_batches(lambda limit: self.kept.delete_before(moment, limit))


def _used_otherwise() -> ConflictException:
    message = "was used for another request"
    return ConflictException(
        "The Idempotency-Key was used already",
        details=[{"field": "Idempotency-Key", "message": message}],
    )

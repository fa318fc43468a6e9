"""`TransferRun`: base class of one attempt at an import or export: progress, failure and end."""

from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security.sealing import ContentCipher
from app.repositories.background.transfers import RunningTransfer, TransferRepository
from app.repositories.user.repository import UserRepository
from app.schemas.background.transfer import TransferKind
from app.services.base import BaseService

MAX_REASON = 2000
_UNREADABLE = "Its input cannot be decrypted: AUTH_SECRET_KEY was replaced. Begin again"
_NO_SUPERUSER = "The superuser who began it is none any more"

log = structlog.get_logger("app.transfers")


class TransferRun(BaseService):
    """Makes one attempt, in a worker.

    A worker may be killed at any moment, and another one runs the job again; the first may even be
    alive, and only have been thought dead. Each attempt has a number, and what it writes, it
    writes only while no later one has begun and nobody has cancelled.

    Args:
        db: the job's session.
        cipher: decrypts the input.
    """

    kind: TransferKind

    def __init__(self, db: AsyncSession, cipher: ContentCipher) -> None:
        super().__init__(db)
        self.transfers = TransferRepository(db)
        self._superusers = UserRepository(db)
        self._cipher = cipher

    async def begin(self, transfer_id: UUID) -> tuple[RunningTransfer, bytes] | None:
        """The attempt, and the input; None where there is nothing to do (any more)."""
        async with self.transaction():
            running = await self.transfers.begin_run(transfer_id, self.kind)
            is_allowed = running and await self._superusers.is_superuser(running.user_id)
        if running is None:
            return None
        content = self._cipher.unseal(running.input or b"")
        if not is_allowed or content is None:
            await self.fail(running, _UNREADABLE if is_allowed else _NO_SUPERUSER)
            return None
        return running, content

    async def advance(self, running: RunningTransfer, done: int) -> bool:
        """Record progress; False where it was cancelled, or another worker has begun it."""
        async with self.transaction():
            return await self.transfers.advance(running, done)

    async def fail(self, running: RunningTransfer, reason: str) -> None:
        """Record that no further attempt can succeed. The reason is shown on the page."""
        async with self.transaction():
            await self.transfers.finish(running, "failed", reason=reason[:MAX_REASON])
        self.log(running, "failed")

    def log(self, running: RunningTransfer, outcome: str) -> None:
        log.info(
            "transfer_ended",
            transfer=str(running.id),
            kind=self.kind,
            attempt=running.run,
            outcome=outcome,
        )

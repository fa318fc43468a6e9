"""Queries on imports and exports."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from app.database import Reads
from app.models.background.transfer import Transfer, TransferPart
from app.repositories.base import BaseRepository
from app.schemas.background.transfer import TransferKind, TransferOutcome


class RunningTransfer(NamedTuple):
    """An import or export of which a worker makes attempt number `run`."""

    id: UUID
    run: int
    user_id: int
    name: str
    input: bytes | None
    total: int


class TransferRepository(BaseRepository[Transfer]):
    model = Transfer

    async def find(self, transfer_id: UUID) -> Transfer | None:
        return await self.db.get(Transfer, transfer_id)

    async def newest(self, limit: int) -> Sequence[Transfer]:
        query = select(Transfer).order_by(Transfer.created_at.desc(), Transfer.id.desc())
        return (await self.db.scalars(query.limit(limit))).all()

    async def count_open(self) -> int:
        query = select(func.count()).where(Transfer.outcome.is_(None))
        return await self.db.scalar(query.select_from(Transfer)) or 0

    async def begin_run(self, transfer_id: UUID, kind: TransferKind) -> RunningTransfer | None:
        """Begin the next attempt, which ends any other; None where there is nothing to do."""
        begun = (
            update(Transfer)
            .where(Transfer.id == transfer_id, Transfer.kind == kind, Transfer.outcome.is_(None))
            .values(run=Transfer.run + 1, done=0)
            .returning(
                *(Transfer.id, Transfer.run, Transfer.user_id),
                *(Transfer.name, Transfer.input, Transfer.total),
            )
        )
        row = (await self.db.execute(begun)).one_or_none()
        if row is None:
            return None
        await self._drop_parts([transfer_id])
        return RunningTransfer(*row)

    async def advance(self, running: RunningTransfer, done: int) -> bool:
        """Record progress; False where this attempt was ended."""
        changed = update(Transfer).where(*_is_current(running)).values(done=done)
        return await self.changed(changed) == 1

    async def add_part(self, running: RunningTransfer, number: int, content: bytes) -> None:
        await self.db.execute(
            insert(TransferPart).values(
                transfer_id=running.id, run=running.run, number=number, content=content
            )
        )

    async def finish(
        self,
        running: RunningTransfer,
        outcome: TransferOutcome,
        *,
        reason: str | None = None,
        size: int | None = None,
    ) -> bool:
        """Record how it ended, and delete its input, and its parts where it is not done; False
        where this attempt was ended."""
        values = {"outcome": outcome, "reason": reason, "size": size, "input": None}
        ended = update(Transfer).where(*_is_current(running))
        is_ended = await self.changed(ended.values(**values, ended_at=func.now())) == 1
        if is_ended and outcome != "done":
            await self._drop_parts([running.id])
        return is_ended

    async def cancel(self, transfer_id: UUID) -> bool:
        """Cancel it, and delete its input and its parts; False where it has ended."""
        cancelled = (
            update(Transfer)
            .where(Transfer.id == transfer_id, Transfer.outcome.is_(None))
            .values(outcome="cancelled", input=None, ended_at=func.now())
        )
        is_cancelled = await self.changed(cancelled) == 1
        if is_cancelled:
            await self._drop_parts([transfer_id])
        return is_cancelled

    async def drop_files(self, keep: int) -> None:
        """Delete all exported files but the newest `keep`."""
        newest = select(Transfer.id).where(Transfer.size.is_not(None))
        newest = newest.order_by(Transfer.created_at.desc()).limit(keep)
        dropped = update(Transfer).where(Transfer.size.is_not(None), Transfer.id.not_in(newest))
        result = await self.db.scalars(dropped.values(size=None).returning(Transfer.id))
        await self._drop_parts(result.all())

    async def _drop_parts(self, ids: Sequence[UUID]) -> None:
        await self.db.execute(delete(TransferPart).where(TransferPart.transfer_id.in_(ids)))

    async def delete_before(self, moment: datetime, limit: int) -> int:
        """Delete those begun before `moment`, with their files, at most `limit`; their number."""
        return await self.delete_some(Transfer.created_at < moment, limit=limit)


def _is_current(running: RunningTransfer) -> tuple[ColumnElement[bool], ...]:
    return Transfer.id == running.id, Transfer.run == running.run, Transfer.outcome.is_(None)


async def read_part(reads: Reads, transfer_id: UUID, number: int) -> bytes | None:
    """A part of the file of an export that is done, from 0; None behind the last one."""
    query = (
        select(TransferPart.content)
        .join(Transfer, Transfer.id == TransferPart.transfer_id)
        .where(Transfer.id == transfer_id, Transfer.run == TransferPart.run)
        .where(Transfer.size.is_not(None), TransferPart.number == number)
    )
    rows = await reads.rows(query)
    return rows[0][0] if rows else None

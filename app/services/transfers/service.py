"""`TransferService`: begins, shows, cancels and purges imports and exports that are jobs."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import ConflictException, NotFoundException
from app.core.jobs import JobPayload
from app.core.security.sealing import ContentCipher
from app.database import Reads
from app.models.background.transfer import Transfer
from app.repositories.background.job_list import JobListRepository
from app.repositories.background.jobs import JobQueue
from app.repositories.background.transfers import TransferRepository, read_part
from app.schemas.access.session import Principal
from app.schemas.audit import Action, Target
from app.schemas.background.job_list import JobSummary
from app.schemas.background.transfer import ExportUsers, ImportUsers, TransferKind, TransferSummary
from app.schemas.user_list import UserFilters
from app.services.base import BaseService

RETENTION = timedelta(days=1)
"""From the beginning of a transfer until it is deleted, with its file."""
MAX_OPEN = 20
"""Imports and exports at once that have not ended; they hold up to a body each."""
SHOWN = 50
"""Imports and exports in the list."""

log = structlog.get_logger("app.transfers")


class TransferFile(NamedTuple):
    """A file to download: its size in bytes, and its parts."""

    size: int
    parts: AsyncGenerator[bytes, None]


class TransferService(BaseService):
    """Imports and exports, as superusers see them. All superusers see all of them.

    Args:
        db: the request's session.
        cipher: encrypts the input until the job has ended.
        reads: for downloads, each part on a connection of its own.
    """

    def __init__(self, db: AsyncSession, cipher: ContentCipher, reads: Reads) -> None:
        super().__init__(db)
        self.transfers = TransferRepository(db)
        self.jobs = JobListRepository(db)
        self.queue = JobQueue(db)
        self._cipher = cipher
        self._reads = reads

    async def begin_import(self, name: str, content: bytes, total: int, admin: Principal) -> UUID:
        """Have a worker create the users of a file that was checked; the id of the import.

        Args:
            name: of the file.
            content: of the file, stored encrypted until the import ends.
            total: rows of the file.
            admin: the superuser who begins it.

        Raises:
            ConflictException: too many imports and exports have not ended.
        """
        return await self._begin("import", name[-255:], content, total, admin)

    async def begin_export(self, filters: UserFilters, total: int, admin: Principal) -> UUID:
        """Have a worker write a list as a CSV file; the id of the export.

        Args:
            filters: of the list.
            total: users of the list, or an estimate.
            admin: the superuser who begins it.

        Raises:
            ConflictException: too many imports and exports have not ended.
        """
        content = filters.model_dump_json().encode()
        return await self._begin("export", "users.csv", content, total, admin)

    async def _begin(
        self, kind: TransferKind, name: str, content: bytes, total: int, admin: Principal
    ) -> UUID:
        transfer_id = uuid4()
        payload: JobPayload
        if kind == "import":
            payload = ImportUsers(transfer_id=transfer_id)
        else:
            payload = ExportUsers(transfer_id=transfer_id)
        async with self.transaction():
            if await self.transfers.count_open() >= MAX_OPEN:
                message = f"{MAX_OPEN} imports and exports have not ended: wait, or cancel some"
                raise ConflictException(message)
            job_id = await self.queue.enqueue(payload)
            assert job_id is not None  # noqa: S101  # it is, without a unique key; for mypy
            await self.transfers.add(
                Transfer(
                    id=transfer_id,
                    kind=kind,
                    user_id=admin.user_id,
                    job_id=job_id,
                    name=name,
                    input=self._cipher.seal(content),
                    total=total,
                )
            )
            action = Action.IMPORT_BEGUN if kind == "import" else Action.EXPORT_BEGUN
            facts = {"file": name, "rows": total, "job": job_id}
            self.audit.record(action, Target("transfer", transfer_id), after=facts)
        log.info("transfer_begun", transfer=str(transfer_id), kind=kind, user_id=admin.user_id)
        return transfer_id

    async def newest(self) -> list[TransferSummary]:
        """The last ones, newest first."""
        found = await self.transfers.newest(SHOWN)
        jobs = await self.jobs.existing([row.job_id for row in found if row.outcome is None])
        by_id = {job.id: JobSummary.model_validate(job) for job in jobs}
        return [TransferSummary.of(row, by_id.get(row.job_id)) for row in found]

    async def get(self, transfer_id: UUID) -> TransferSummary:
        """An import or export.

        Raises:
            NotFoundException: there is none, or it was deleted a day after it was begun.
        """
        row = await self.transfers.find(transfer_id)
        if row is None:
            raise NotFoundException("No such import or export: they are deleted after a day")
        jobs = await self.jobs.existing([row.job_id]) if row.outcome is None else []
        return TransferSummary.of(row, JobSummary.model_validate(jobs[0]) if jobs else None)

    async def cancel(self, transfer_id: UUID) -> bool:
        """End it, with nothing created or to download; False where it had ended.

        Raises:
            NotFoundException: see `get`.
        """
        transfer = await self.get(transfer_id)
        async with self.transaction():
            is_cancelled = await self.transfers.cancel(transfer_id)
            if is_cancelled:
                await self.jobs.cancel([transfer.job_id])
                self.audit.record(Action.TRANSFER_CANCELLED, Target("transfer", transfer_id))
        log.info("transfer_cancelled", transfer=str(transfer_id), changed=is_cancelled)
        return is_cancelled

    async def file(self, transfer_id: UUID) -> TransferFile:
        """The file of an export that is done.

        Raises:
            NotFoundException: there is no file, or it was deleted.
        """
        size = (await self.get(transfer_id)).size
        if size is None:
            raise NotFoundException("There is no file: begin the export again")
        await self.release_connection()
        return TransferFile(size, self._parts(transfer_id, size))

    async def _parts(self, transfer_id: UUID, size: int) -> AsyncGenerator[bytes, None]:
        number = 0
        while size > 0:
            part = await read_part(self._reads, transfer_id, number)
            if part is None:
                raise NotFoundException("The file was deleted: begin the export again")
            yield part
            number, size = number + 1, size - len(part)

    async def purge(self) -> int:
        """Delete imports and exports a day after they were begun; the number of them."""
        moment = datetime.now(UTC) - RETENTION
        return await self.in_batches(lambda limit: self.transfers.delete_before(moment, limit))

"""`UserExportRun`: writes a list of users into the database as a file, in a worker."""

from contextlib import aclosing
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.caller import identify_caller
from app.core.security.sealing import ContentCipher
from app.repositories.background.transfers import RunningTransfer
from app.schemas.user_list import UserFilters
from app.services.export import EXPORT_BATCH, ExportService
from app.services.transfers.run import TransferRun

PART = 1_048_576
"""Bytes of a part, at least; a batch of rows more at most."""
MAX_FILE = 268_435_456
"""Greatest size of a file, in bytes: about two million users."""
KEPT_FILES = 5
"""Files that are kept; the oldest one is deleted when another is written."""
_TOO_LARGE = (
    f"The file would be larger than {MAX_FILE // 1_048_576} MiB. Export fewer users at once, or "
    "use GET /api/v1/users/export, which streams any number"
)


class UserExportRun(TransferRun):
    """Writes the file part by part. All rows are of the moment at which the attempt began.

    Args:
        db: the job's session.
        cipher: decrypts the filters.
        exports: reads the users, on a connection of its own.
        max_file: greatest size of the file, in bytes.
    """

    kind = "export"

    def __init__(
        self,
        db: AsyncSession,
        cipher: ContentCipher,
        exports: ExportService,
        max_file: int = MAX_FILE,
    ) -> None:
        super().__init__(db, cipher)
        self._exports = exports
        self._max_file = max_file

    async def run(self, transfer_id: UUID) -> None:
        """Make one attempt."""
        if begun := await self.begin(transfer_id):
            identify_caller(begun[0].user_id)
            await self._export(*begun)

    async def _export(self, running: RunningTransfer, content: bytes) -> None:
        size = await self._write(running, UserFilters.model_validate_json(content))
        if size is None:
            return
        if size > self._max_file:
            await self.fail(running, _TOO_LARGE)
            return
        async with self.transaction():
            if not await self.transfers.finish(running, "done", size=size):
                return
            await self.transfers.drop_files(KEPT_FILES)
        self.log(running, "done")

    async def _write(self, running: RunningTransfer, filters: UserFilters) -> int | None:
        """Write the parts; the size, at which it ends where it is too large, or None where the
        attempt was ended."""
        part, number, size, done = bytearray(), 0, 0, 0
        async with aclosing(self._exports.users(filters, "csv", bom=True)) as stream:
            async for lines in stream:
                part += lines
                size, done = size + len(lines), min(done + EXPORT_BATCH, running.total)
                if size > self._max_file:
                    return size
                if len(part) >= PART:
                    if not await self._add(running, number, bytes(part), done):
                        return None
                    part, number = bytearray(), number + 1
        return size if await self._add(running, number, bytes(part), done) else None

    async def _add(self, running: RunningTransfer, number: int, part: bytes, done: int) -> bool:
        async with self.transaction():
            is_current = await self.transfers.advance(running, done)
            if is_current and part:
                await self.transfers.add_part(running, number, part)
        return is_current

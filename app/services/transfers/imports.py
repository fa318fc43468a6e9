"""`UserImportRun`: creates the users of an uploaded file, all or none, in a worker."""

from collections.abc import Sequence
from itertools import islice
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.details import Detail
from app.core.exceptions import ConflictException, ValidationException
from app.core.security.sealing import ContentCipher
from app.repositories.background.transfers import RunningTransfer
from app.services.dashboard import invalidate_statistics
from app.services.transfers.run import TransferRun
from app.services.user.creation import UserCreation
from app.services.user.new_rows import NewUserRow
from app.services.user.upload import UserUpload, sentence

HASH_BATCH = 20
"""Passwords hashed between two records of progress: about a second on one core."""
SHOWN_FAULTS = 10


class UserImportRun(TransferRun):
    """Hashes the passwords, which takes long, and then inserts all users in one transaction, with
    the record that they were: a second attempt finds both or neither.

    Args:
        db: the job's session.
        cipher: decrypts the file.
        users: creates users, on the same session.
        bulk_max: greatest number of rows in a file.
    """

    kind = "import"

    def __init__(
        self, db: AsyncSession, cipher: ContentCipher, users: UserCreation, bulk_max: int
    ) -> None:
        super().__init__(db, cipher)
        self.users = users
        self._upload = UserUpload(users, bulk_max)

    async def run(self, transfer_id: UUID) -> None:
        """Make one attempt."""
        if begun := await self.begin(transfer_id):
            await self._import(*begun)

    async def _import(self, running: RunningTransfer, content: bytes) -> None:
        try:
            sent = await self._upload.read(running.name, content)
            checked = await self.users.check(sent.users, [row.line for row in sent.rows])
            checked.require_acceptable()
            if not await self._hash(running, checked.rows):
                return
            async with self.transaction():
                if not await self.transfers.finish(running, "done"):
                    return
                await self.users.insert_list(checked.rows)
        except (ConflictException, ValidationException) as error:
            await self.fail(running, _reason(error.details))
            return
        await invalidate_statistics()
        self.log(running, "done")

    async def _hash(self, running: RunningTransfer, rows: Sequence[NewUserRow]) -> bool:
        """Hash the passwords batch by batch; False where the attempt was ended."""
        done, rest = 0, iter(rows)
        while batch := list(islice(rest, HASH_BATCH)):
            await self.users.hash_passwords(batch)
            done += len(batch)
            if not await self.advance(running, done):
                return False
        return True


def _reason(details: Sequence[Detail]) -> str:
    """`Nothing was created. Line 7: email: already taken; and 3 more`."""
    found = [
        f"line {detail['index']}: {sentence(detail)}" if "index" in detail else sentence(detail)
        for detail in details
    ]
    more = len(found) - SHOWN_FAULTS
    shown = "; ".join([*found[:SHOWN_FAULTS], *([f"and {more} more"] if more > 0 else [])])
    return f"Nothing was created. {shown}"

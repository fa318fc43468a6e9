"""Import of users from a file, in batches: one transaction each."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from app.core.details import Detail
from app.runtime import Runtime
from app.services.user.file_parser import FileRow, UserFile
from app.services.user.upload import user_in
from app.user_import.refused_rows import RefusedRowsFile

ROWS_PER_TRANSACTION = 1_000
"""Rows in a transaction."""
PASSWORDS_PER_TRANSACTION = 100
"""Rows with a password to hash in a transaction, so that the progress bar moves."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """Numbers of imported and refused rows, and a note: see `UserFile.note`."""

    imported: int
    refused: int
    note: str | None = None


async def import_users(
    runtime: Runtime,
    file: UserFile,
    errors: Path,
    progress: Callable[[int], None],
    *,
    without_password: bool = False,
) -> ImportResult:
    """Create the users of a file, and write refused rows into another file.

    Each batch is committed by itself. Existing users are refused, so that an interrupted import may
    be run again.

    Args:
        runtime: with the database.
        file: CSV or NDJSON.
        errors: file for refused rows, in the same format.
        progress: called after each batch with the number of its last line.
        without_password: import users without a password, with a random one.

    Raises:
        UserFileError: the file cannot be read.
    """
    defaults = {}
    if without_password:
        defaults["hashed_password"] = await runtime.passwords.hash(secrets.token_urlsafe(32))
    imported = 0
    with closing(RefusedRowsFile(errors, Path(file.name))) as refusals:
        for batch in _batches(file.rows()):
            imported += len(batch)
            by_line = {row.line: row for row in batch}
            reasons = await _create(runtime, batch, defaults)
            for line, against in groupby(reasons, itemgetter("index")):
                refusals.add(by_line[line], list(against))
                imported -= 1
            progress(batch[-1].line)
        if imported:
            async with runtime.open_user_service() as users:
                await users.analyze()
        return ImportResult(imported, refusals.count, file.note)


def _batches(rows: Iterable[FileRow]) -> Iterator[list[FileRow]]:
    batch: list[FileRow] = []
    passwords = 0
    for row in rows:
        batch.append(row)
        passwords += "password" in row.values
        if len(batch) == ROWS_PER_TRANSACTION or passwords == PASSWORDS_PER_TRANSACTION:
            yield batch
            batch, passwords = [], 0
    if batch:
        yield batch


async def _create(
    runtime: Runtime, batch: list[FileRow], defaults: dict[str, str]
) -> Sequence[Detail]:
    rows = [user_in(row, defaults) for row in batch]
    async with runtime.open_user_service() as users:
        return await users.create_acceptable_users(rows, [row.line for row in batch])

"""Upload of a file of users: a preview first, then the creation of all users or none."""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePath

from app.core.details import Detail
from app.core.exceptions import (
    ConfirmationRequiredException,
    ConflictException,
    ValidationException,
)
from app.schemas.bulk import RefusedRow, UserImport, read_imported
from app.schemas.user import NewUser
from app.services.dashboard import invalidate_statistics
from app.services.user.creation import UserCreation
from app.services.user.file_parser import SECRETS, FileRow, UserFile, UserFileError

AT_ONCE = 100
"""Passwords that are hashed within a request: about four seconds on one core."""
_DEFAULTS = {"is_active": "true", "is_superuser": "false"}


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A row of the file, without its secret.

    Attributes:
        line: number of its first line.
        values: text by column, the same columns in all rows.
        secret: `password`, `hash`, both, or `none`, which is a fault where another row has one.
        faults: sentences, one for each fault.
    """

    line: int
    values: Mapping[str, str]
    secret: str
    faults: Sequence[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """The rows of a file with their faults.

    Attributes:
        has_secrets: whether a row has a password or hash; if none has, users are created without.
        note: see `UserFile.note`.
        created: number of users created; None where none were.
    """

    rows: Sequence[PreviewRow]
    has_secrets: bool = True
    note: str | None = None
    created: int | None = None

    @property
    def faulty(self) -> list[PreviewRow]:
        return [row for row in self.rows if row.faults]

    @property
    def is_left_to_worker(self) -> bool:
        """Whether all rows are good, and to create the users takes too long for a request."""
        passwords = [row for row in self.rows if row.secret == "password"]  # noqa: S105  # a kind
        return not self.faulty and len(passwords) > AT_ONCE


@dataclass(frozen=True, slots=True)
class UploadedRows:
    """The rows of a file, and the user in each."""

    rows: Sequence[FileRow]
    users: Sequence[UserImport | RefusedRow]
    note: str | None

    @property
    def has_secrets(self) -> bool:
        return any(has_secret(row) for row in self.rows)


class UserUpload:
    """Reads files as `backend import-users` does, and creates users as `POST /users/bulk` does.

    Args:
        users: creates users.
        bulk_max: greatest number of rows in a file.
    """

    def __init__(self, users: UserCreation, bulk_max: int) -> None:
        self.users = users
        self.bulk_max = bulk_max

    async def submit(
        self, name: str, content: bytes, *, write: bool, superusers: bool = True
    ) -> Preview:
        """Check every row, and with `write` create the users, if no row has a fault.

        Args:
            name: of the file; its suffix is the format.
            content: of the file.
            write: create the users, unless the list is large; otherwise only preview them.
            superusers: whether there may be superusers among them.

        Raises:
            ConfirmationRequiredException: there are superusers among them, and may not be.
            ValidationException: the file as a whole cannot be read, or is empty or too long.
        """
        sent = await self.read(name, content)
        preview = await self._preview(sent)
        if write and not superusers and any(map(_is_superuser, sent.users)):
            raise ConfirmationRequiredException
        if preview.faulty or not write or preview.is_left_to_worker:
            return preview
        try:
            users = await self.users.create_users_bulk(sent.users)
        except (ConflictException, ValidationException):  # another request was faster
            return await self._preview(sent)
        await invalidate_statistics()
        return replace(preview, created=len(users))

    async def read(self, name: str, content: bytes) -> UploadedRows:
        """The rows of a file.

        Raises:
            ValidationException: see `submit`.
        """
        # In a thread: a megabyte of rows would stop the event loop for half a second.
        return await asyncio.to_thread(self._read, name, content, await self._unknown_password())

    async def _unknown_password(self) -> str:
        """The hash of a password that nobody knows, for a file without any, such as an export."""
        return await self.users.passwords.hash(secrets.token_urlsafe(32))

    def _read(self, name: str, content: bytes, unknown: str) -> UploadedRows:
        try:
            file = UserFile.in_memory(PurePath(name), content)
            rows = list(islice(file.rows(), self.bulk_max + 1))
        except UserFileError as error:
            raise _refused(str(error)) from None
        if not 1 <= len(rows) <= self.bulk_max:
            found = f"more than {self.bulk_max:,}" if rows else "0"
            raise _refused(
                f"The file contains {found} users, but should contain 1 to "
                f"{self.bulk_max:,} (USERS_BULK_MAX). `backend import-users` accepts any number"
            )
        defaults = {} if any(map(has_secret, rows)) else {"hashed_password": unknown}
        return UploadedRows(rows, [user_in(row, defaults) for row in rows], file.note)

    async def _preview(self, sent: UploadedRows) -> Preview:
        checked = await self.users.check(sent.users, [row.line for row in sent.rows])
        faults: dict[int, list[str]] = defaultdict(list)
        for detail in checked.details:
            faults[detail["index"]].append(sentence(detail))
        rows = [_shown(row, faults[row.line]) for row in sent.rows]
        return Preview(rows, sent.has_secrets, sent.note)


def _refused(reason: str) -> ValidationException:
    return ValidationException(details=[{"field": "file", "message": reason}])


def has_secret(row: FileRow) -> bool:
    return not SECRETS.isdisjoint(row.values)


def user_in(row: FileRow, defaults: Mapping[str, str]) -> UserImport | RefusedRow:
    """The user of a row, which gets `defaults` where it has no secret."""
    if row.fault:
        return RefusedRow([{"field": "row", "message": row.fault}])
    return read_imported(row.values if has_secret(row) else {**row.values, **defaults})


def sentence(detail: Detail) -> str:
    return f"{detail['field']}: {detail['message']}"


def _shown(row: FileRow, faults: Sequence[str]) -> PreviewRow:
    kinds = {"password": "password", "hashed_password": "hash"}
    brought = [name for column, name in kinds.items() if column in row.values]
    shown = {
        name: _text(row.values.get(name)) or _DEFAULTS.get(name, "")
        for name in NewUser.model_fields
    }
    return PreviewRow(row.line, shown, " and ".join(brought) or "none", faults)


def _text(value: object) -> str:
    """Text of any value of a file, also of a lone surrogate, or of a list of a megabyte."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "…"
    return "" if value is None else str(value)[:254].encode(errors="replace").decode()


def _is_superuser(row: UserImport | RefusedRow) -> bool:
    return isinstance(row, UserImport) and row.is_superuser

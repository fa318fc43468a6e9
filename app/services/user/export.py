"""Export of users as a file, streamed."""

import codecs
import csv
import io
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from operator import attrgetter
from time import monotonic
from typing import Any

import structlog

from app.core.exceptions import RequestTimeoutException, ValidationException
from app.core.text.spreadsheets import escape_formulas
from app.database import Reads
from app.repositories.user.listing import UserListRepository
from app.schemas.user import UserSchema
from app.schemas.user_list import ExportFormat, UserFilters

log = structlog.get_logger("app.export")

BATCH = 500
"""Users held in memory at a time; to format them takes the event loop about 3 ms."""
TIME_LIMIT = 900.0
"""Seconds that an export may take. A client that reads slowly, but never stops, would hold its
connection for ever, and keep the database from vacuuming meanwhile."""
COLUMNS = tuple(UserSchema.model_fields)
_values = attrgetter(*COLUMNS)


class ExportService:
    """Streams users from a cursor of the database.

    Args:
        reads: on a pool that bounds how many exports run at once.
    """

    def __init__(self, reads: Reads) -> None:
        self._users = UserListRepository(reads)

    async def users(
        self, filters: UserFilters, file_format: ExportFormat, *, bom: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """The parts of the file, the first as soon as the database has begun to answer.

        All users are of one moment, and of the primary: a file without the newest users would not
        say that they are missing. The caller closes the generator, and with it the connection.

        Args:
            filters: which users, in which order.
            file_format: of the file.
            bom: begin a CSV with a byte order mark, without which Excel misreads UTF-8.

        Raises:
            ValidationException: a byte order mark is asked for in NDJSON.
            RequestTimeoutException: the export took longer than `TIME_LIMIT`.
            ServiceUnavailableException: there is no primary.
            sqlalchemy.exc.TimeoutError: the pool is in use, and no export ended in time.
        """
        if bom and file_format != "csv":
            message = "a byte order mark is for csv alone"
            raise ValidationException(details=[{"field": "bom", "message": message}])
        write, heading = (_csv, _csv_lines([COLUMNS])) if file_format == "csv" else (_ndjson, b"")
        heading = codecs.BOM_UTF8 + heading if bom else heading
        until, count, is_complete = monotonic() + TIME_LIMIT, 0, False
        try:
            async with aclosing(self._users.batches(filters, BATCH)) as batches:
                async for users in batches:
                    yield heading + write(users)
                    heading, count = b"", count + len(users)
                    if monotonic() > until:
                        raise RequestTimeoutException(TIME_LIMIT)
            yield heading
            is_complete = True
        finally:
            log.info("users_exported", rows=count, format=file_format, complete=is_complete)


def _csv(users: Iterable[UserSchema]) -> bytes:
    return _csv_lines([_cell(value) for value in _values(user)] for user in users)


def _csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """By RFC 4180, in UTF-8."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return escape_formulas(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else value


def _ndjson(users: Iterable[UserSchema]) -> bytes:
    return b"".join(user.model_dump_json().encode() + b"\n" for user in users)

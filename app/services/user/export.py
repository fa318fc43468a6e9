"""Users as a file, made while it is sent."""

import codecs
import csv
import io
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from time import monotonic
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.core.exceptions import RequestTimeoutException, ValidationException
from app.core.spreadsheets import defused
from app.database import begin_on_primary
from app.repositories.user.queries import PROFILE
from app.repositories.user.repository import UserRepository
from app.schemas.user import UserSchema
from app.schemas.user_list import ExportFormat, UserFilters

log = structlog.get_logger("app.export")

BATCH = 500
"""Rows held at a time; to write them down takes the event loop about 3 ms."""
TIME_LIMIT = 900.0
"""Seconds that an export may take. A client that reads slowly, but never stops, would keep its
connection for ever, and the database from cleaning up behind every update meanwhile."""
COLUMNS = tuple(column.key for column in PROFILE)


class ExportService:
    """Streams users from a cursor of the database, on connections kept for it.

    Args:
        session_maker: of a pool that bounds how many exports run at once.
    """

    def __init__(self, session_maker: async_sessionmaker[AsyncSession]) -> None:
        self._session_maker = session_maker

    async def users(
        self, filters: UserFilters, file_format: ExportFormat, *, bom: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """The file in parts, the first as soon as the database has begun to answer.

        All rows are of one moment, and of the primary: a file without the newest rows would not
        say that they are missing. Whoever takes the parts also closes the generator, and with it
        the connection.

        Args:
            filters: whom it holds.
            file_format: of the file.
            bom: begin a CSV with a byte order mark, without which Excel misreads UTF-8.

        Raises:
            ValidationException: a byte order mark is asked for in NDJSON.
            RequestTimeoutException: it took longer than `TIME_LIMIT`.
            ServiceUnavailableException: there is no primary.
            sqlalchemy.exc.TimeoutError: as many exports run as may, and none ended in time.
        """
        if bom and file_format != "csv":
            message = "a byte order mark is for csv alone"
            raise ValidationException(details=[{"field": "bom", "message": message}])
        write, heading = (_csv, _csv([COLUMNS])) if file_format == "csv" else (_ndjson, b"")
        heading = codecs.BOM_UTF8 + heading if bom else heading
        until, count, is_complete = monotonic() + TIME_LIMIT, 0, False
        try:
            async with self._session_maker() as db:
                await begin_on_primary(db)
                users = UserRepository(db)
                query = users.get_filtered_users(**filters.model_dump())
                async with aclosing(users.batches(query, BATCH)) as batches:
                    async for rows in batches:
                        yield heading + write(rows)
                        heading, count = b"", count + len(rows)
                        if monotonic() > until:
                            raise RequestTimeoutException(TIME_LIMIT)
            yield heading
            is_complete = True
        finally:
            log.info("users_exported", rows=count, format=file_format, complete=is_complete)


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    """After RFC 4180, in UTF-8."""
    text = io.StringIO()
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return defused(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else value


def _ndjson(rows: Iterable[Any]) -> bytes:
    return b"".join(
        UserSchema.model_validate(row).model_dump_json().encode() + b"\n" for row in rows
    )

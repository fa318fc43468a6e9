"""`ExportService`: lists as CSV or NDJSON files, streamed."""

import codecs
import csv
import io
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import date
from functools import partial
from operator import attrgetter
from time import monotonic
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.core.exceptions import RequestTimeoutException, ValidationException
from app.core.text.spreadsheets import escape_formulas
from app.database import Reads
from app.repositories.user.lists import UserListRepository
from app.schemas.audit import Action, Target
from app.schemas.list_params import ExportFormat, ListParams
from app.schemas.user import UserSchema
from app.schemas.user_list import UserFilters
from app.services.base import BaseService

Schema = TypeVar("Schema", bound=BaseModel)
log = structlog.get_logger("app.export")

EXPORT_BATCH = 500
"""Rows held in memory at a time; to format 500 users takes the event loop about 3 ms."""
TIME_LIMIT = 900.0
"""Seconds that an export may take. A client that reads slowly, but never stops, would hold its
connection for ever, and keep the database from vacuuming meanwhile."""


class ExportService:
    """Streams lists from a cursor of the database.

    Args:
        reads: on a pool that bounds how many exports run at once.
        session_maker: to record in the audit trail that an export began.
    """

    def __init__(self, reads: Reads, session_maker: async_sessionmaker[AsyncSession]) -> None:
        self.reads = reads
        self._session_maker = session_maker
        self._users = UserListRepository(reads)

    def users(
        self, filters: UserFilters, file_format: ExportFormat, *, bom: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """All users of a list: see `stream`."""
        batches = self._users.batches(filters, EXPORT_BATCH)
        return self.stream("users", filters, batches, UserSchema, file_format, bom=bom)

    async def stream(
        self,
        name: str,
        filters: ListParams,
        batches: AsyncGenerator[list[Schema]],
        schema: type[Schema],
        file_format: ExportFormat,
        *,
        bom: bool = False,
    ) -> AsyncGenerator[bytes, None]:
        """The parts of the file, the first as soon as the database has begun to answer.

        All rows are of one moment, and of the primary: a file without the newest rows would not
        say that they are missing. The caller closes the generator, and with it the connection.

        Args:
            name: of the list, for the log and the audit trail.
            filters: of the list, for the audit trail.
            batches: the rows; see `BaseRepository.batches`.
            schema: of a row. Its fields are the columns.
            file_format: of the file.
            bom: begin a CSV with a byte order mark, without which Excel misreads UTF-8.

        Raises:
            ValidationException: a byte order mark is asked for in NDJSON.
            RequestTimeoutException: the export took longer than `TIME_LIMIT`.
            ServiceUnavailableException: there is no primary.
            sqlalchemy.exc.TimeoutError: the pool is in use, and no export ended in time.
        """
        if bom and file_format != "csv":
            message = "a byte order mark is available for csv only"
            raise ValidationException(
                details=[{"field": "bom", "message": message, "code": "not_allowed"}]
            )
        columns = tuple(schema.model_fields)
        is_csv = file_format == "csv"
        write = partial(_csv, attrgetter(*columns)) if is_csv else _ndjson
        heading = _csv_lines([columns]) if is_csv else b""
        heading = codecs.BOM_UTF8 + heading if bom else heading
        until, count, is_complete = monotonic() + TIME_LIMIT, 0, False
        try:
            async with aclosing(batches):
                async for rows in batches:
                    if not count:
                        await self._record(name, filters, file_format)
                    yield heading + write(rows)
                    heading, count = b"", count + len(rows)
                    if monotonic() > until:
                        raise RequestTimeoutException(TIME_LIMIT)
            if not count:
                await self._record(name, filters, file_format)
            yield heading
            is_complete = True
        finally:
            log.info("exported", list=name, rows=count, format=file_format, complete=is_complete)

    async def _record(self, name: str, filters: ListParams, file_format: ExportFormat) -> None:
        facts = {"format": file_format, **filters.model_dump(exclude_defaults=True)}
        async with self._session_maker() as db:
            service = BaseService(db)
            async with service.transaction():
                service.audit.record(Action.DATA_EXPORTED, Target("list", name), after=facts)


def _csv(values: Callable[[Any], Iterable[Any]], rows: Iterable[BaseModel]) -> bytes:
    return _csv_lines([_cell(value) for value in values(row)] for row in rows)


def _csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """By RFC 4180, in UTF-8."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        return escape_formulas(str(value))
    return value.isoformat() if isinstance(value, date) else value


def _ndjson(rows: Iterable[BaseModel]) -> bytes:
    return b"".join(row.model_dump_json().encode() + b"\n" for row in rows)

"""Reading users from CSV or NDJSON, a row at a time."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, TextIO

from app.core.spreadsheets import undefused
from app.schemas import UserImport

NOTES = ("line", "errors")
"""What the file of refused rows has besides the rows: it can be mended and read in its turn."""
COLUMNS = ("id", *UserImport.model_fields)
"""What a file may have. The `id` is passed over: the database gives its own."""
_TEXTS = frozenset({"email", "username", "full_name"})  # a password is as it is
_NOT_UTF8 = "is not UTF-8: save it as CSV UTF-8, or convert it with iconv"


class UserFileError(ValueError):
    """The file cannot be read; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file.

    Attributes:
        line: where it begins, from 1.
        source: what is there, by column, without notes.
        values: what it means: without what is empty, without `id`.
        fault: why it cannot be read at all.
    """

    line: int
    source: dict[str, Any]
    values: dict[str, Any]
    fault: str | None = None


def is_csv(file: PurePath) -> bool:
    """CSV, or else NDJSON.

    Raises:
        UserFileError: its name ends in neither.
    """
    suffix = file.suffix.lower()
    if suffix not in {".csv", ".ndjson", ".jsonl"}:
        raise UserFileError(f"{file}: should end in .csv or .ndjson")
    return suffix == ".csv"


def count_lines(file: Path) -> int:
    """How many lines it has, all of which can be decoded: nothing is imported of a file that
    turns out to be something else in its middle.

    Raises:
        UserFileError: it is not UTF-8.
    """
    with file.open("rb") as lines:
        return _count_lines(file, lines)


def _count_lines(file: PurePath, lines: BinaryIO) -> int:
    line = 0
    try:
        for line, content in enumerate(lines, 1):  # noqa: B007  # the last is the count
            content.decode()
    except UnicodeDecodeError:
        raise UserFileError(f"{file}, line {line}: {_NOT_UTF8}") from None
    return line


def read_rows(file: Path) -> Iterator[Row]:
    """Every row of the file.

    Raises:
        UserFileError: it is no such file.
    """
    with file.open("rb") as content:
        yield from _rows(file, content)


def rows_of(file: PurePath, content: bytes) -> Iterator[Row]:
    """Every row of a file that is in memory; `file` is its name.

    Raises:
        UserFileError: it is no such file, or not UTF-8.
    """
    _count_lines(file, io.BytesIO(content))
    yield from _rows(file, io.BytesIO(content))


def _rows(file: PurePath, content: BinaryIO) -> Iterator[Row]:
    # A byte order mark is what spreadsheets begin with.
    with io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as lines:
        yield from _csv_rows(file, lines) if is_csv(file) else _json_rows(lines)


def _csv_rows(file: PurePath, lines: TextIO) -> Iterator[Row]:
    reader = csv.DictReader(lines, strict=True)
    begins = 1
    try:
        _check_header(file, reader.fieldnames or ())
        begins = reader.line_num + 1
        for cells in reader:
            yield _csv_row(begins, cells)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise UserFileError(f"{file}, line {begins}: {error}") from None


def _check_header(file: PurePath, names: Sequence[str]) -> None:
    if "email" not in names:
        raise UserFileError(
            f"{file}: the first line should name the columns, email among them, with commas between"
        )
    if unknown := sorted(set(names) - {*COLUMNS, *NOTES}):
        raise UserFileError(
            f"{file}: no such column: {', '.join(unknown)}; there are {', '.join(COLUMNS)}"
        )


def _csv_row(line: int, cells: dict[str | Any, str | Any]) -> Row:
    surplus = cells.pop(None, ())
    cells = _without_notes(cells)
    if surplus or None in cells.values():
        return Row(line, cells, {}, "has more or fewer cells than the first line")
    texts = {name: undefused(cell) if name in _TEXTS else cell for name, cell in cells.items()}
    return Row(line, cells, _meant(texts))


def _json_rows(lines: TextIO) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            found = _without_notes(found)
            yield Row(number, found, _meant(found))
        else:
            yield Row(number, {"text": line.rstrip("\r\n")}, {}, "is no JSON object")


def _without_notes(source: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in source.items() if name not in NOTES}


def _meant(source: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in source.items()
        if name != "id" and value is not None and value != ""
    }

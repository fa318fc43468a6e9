"""Parser of CSV and NDJSON files of users, a row at a time."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath
from typing import Any, BinaryIO, TextIO

from app.core.text.encoding import ENCODING_NAMES, EncodingError, text_format
from app.core.text.spreadsheets import unescape_formulas
from app.schemas.bulk import UserImport
from app.schemas.user import UserSchema

NOTES = ("line", "errors")
"""Columns that the file of refused rows adds; ignored when it is corrected and imported again."""
_EXPORTED_ONLY = tuple(
    name for name in UserSchema.model_fields if name not in UserImport.model_fields
)
"""Columns of an export that are ignored: the `id`, which the database assigns, and what a file
cannot set."""
KNOWN_COLUMNS = (*_EXPORTED_ONLY, *UserImport.model_fields)
"""Columns that a file may have."""
SECRETS = frozenset({"password", "hashed_password"})
"""Columns whose cells are taken literally."""
OPTIONAL = tuple(name for name in UserImport.model_fields if name not in {"email", *SECRETS})
"""Columns that a file may leave out."""
HEADER_MAX = 4_096
"""Greatest length of a CSV's header line, in characters."""
LINE_MAX = 65_536
"""Greatest length of a line of NDJSON, in characters: to parse a megabyte blocks for 50 ms."""
_DELIMITERS = ",;\t"
_NOT_UTF8 = "is not UTF-8: save it as CSV UTF-8, or convert it with iconv"
# As spreadsheets write them, in several languages.
_BOOLEANS = dict.fromkeys(
    ("true", "yes", "wahr", "ja", "vrai", "oui", "verdadero", "sí", "si", "vero", "sì", "1"), True
) | dict.fromkeys(("false", "no", "falsch", "nein", "faux", "non", "falso", "0"), False)
_SWITCHES = frozenset(
    name for name, field in UserImport.model_fields.items() if field.annotation is bool
)


class UserFileError(ValueError):
    """The file cannot be read; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of the file.

    Attributes:
        line: number of its first line, from 1.
        source: cells by column, without notes.
        values: parsed values by column, without empty ones and without `id`.
        fault: the reason why it cannot be read, if any.
    """

    line: int
    source: dict[str, Any]
    values: dict[str, Any]
    fault: str | None = None


def is_csv(file: PurePath) -> bool:
    """Whether a file is CSV, or else NDJSON.

    Raises:
        UserFileError: the suffix is of neither.
    """
    suffix = file.suffix.lower()
    if suffix not in {".csv", ".ndjson", ".jsonl"}:
        raise UserFileError(f"{file}: should end in .csv or .ndjson")
    return suffix == ".csv"


class UserFile:
    """A file of users whose encoding was checked to its end, so that no import fails in its middle.

    Args:
        name: the name, whose suffix is the format.
        open_content: opens the file at its beginning.

    Attributes:
        name: as given.
        lines: number of lines.

    Raises:
        UserFileError: the file is neither CSV nor NDJSON, or in an unknown encoding.
    """

    def __init__(self, name: PurePath, open_content: Callable[[], BinaryIO]) -> None:
        self.name, self._open = name, open_content
        self._is_csv = is_csv(name)
        try:
            with open_content() as content:
                found = text_format(content, or_windows=self._is_csv)
        except EncodingError as error:
            raise UserFileError(f"{name}, line {error.line}: {_NOT_UTF8}") from None
        self.lines, self._encoding = found.lines, found.encoding

    @classmethod
    def on_disk(cls, file: Path) -> "UserFile":
        return cls(file, lambda: file.open("rb"))

    @classmethod
    def in_memory(cls, name: PurePath, content: bytes) -> "UserFile":
        return cls(name, lambda: io.BytesIO(content))

    @property
    def note(self) -> str | None:
        """A warning for the sender that letters may be wrong, where the encoding was guessed."""
        if self._encoding not in ENCODING_NAMES:
            return None
        return (
            f"{self.name.name} is not UTF-8 and was read as {ENCODING_NAMES[self._encoding]}: "
            "check letters with accents"
        )

    def rows(self) -> Iterator[FileRow]:
        """Every row but blank ones.

        Raises:
            UserFileError: a CSV's first line names no or other columns, or a line is malformed.
        """
        with (
            self._open() as content,
            io.TextIOWrapper(content, encoding=self._encoding, newline="") as lines,
        ):
            yield from _csv_rows(self.name, lines) if self._is_csv else _json_rows(lines)


def _csv_rows(file: PurePath, lines: TextIO) -> Iterator[FileRow]:
    header = lines.readline(HEADER_MAX + 1)
    if len(header) > HEADER_MAX:
        raise UserFileError(f"{file}: the first line is too long for a list of columns")
    delimiter = _delimiter(header)
    names = _names(header, delimiter)
    _check_header(file, names)
    reader = csv.reader(chain([header], lines), delimiter=delimiter, strict=True)
    begins = 1
    try:
        next(reader)
        begins = reader.line_num + 1
        for cells in reader:
            if any(cells):
                yield _csv_row(begins, names, cells)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise UserFileError(f"{file}, line {begins}: {error}") from None


def _delimiter(header: str) -> str:
    """The delimiter by which the header has most known columns; the data does not count."""
    return max(_DELIMITERS, key=lambda one: len({*_names(header, one)} & {*KNOWN_COLUMNS, *NOTES}))


def _names(header: str, delimiter: str) -> list[str]:
    """Column names, lower-case and stripped. Empty ones at the end come from spreadsheets."""
    try:
        cells = next(csv.reader([header], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []
    names = [re.sub(r"[\s-]+", "_", cell.strip().lower()) for cell in cells]
    while names and not names[-1]:
        names.pop()
    return names


def _check_header(file: PurePath, names: Sequence[str]) -> None:
    if "email" not in names:
        raise UserFileError(
            f"{file}: the first line should name the columns, email among them, "
            "separated by commas, semicolons or tabs"
        )
    if unknown := sorted({*names} - {*KNOWN_COLUMNS, *NOTES}):
        raise UserFileError(
            f"{file}: no such column: {_some(unknown)}; allowed: {', '.join(KNOWN_COLUMNS)}"
        )
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise UserFileError(f"{file}: repeated columns: {_some(twice)}")


def _some(names: Sequence[str]) -> str:
    """The first five, none longer than 32 characters."""
    shown = ", ".join(name[:32] or "(without a name)" for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _csv_row(line: int, names: Sequence[str], cells: list[str]) -> FileRow:
    given = dict(zip(names, cells, strict=False))
    source = _without_notes(dict.fromkeys(names, "") | given)
    if len(cells) < len(names) or any(cells[len(names) :]):
        return FileRow(line, source, {}, "has more or fewer cells than the first line")
    return FileRow(
        line, source, _meant({name: _value(name, cell) for name, cell in source.items()})
    )


def _value(name: str, cell: str) -> Any:
    if name in SECRETS:
        return cell
    text = unescape_formulas(cell).strip()
    return _BOOLEANS.get(text.lower(), text) if name in _SWITCHES else text


def _json_rows(lines: TextIO) -> Iterator[FileRow]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _json_row(number, line)


def _json_row(number: int, line: str) -> FileRow:
    try:
        found = json.loads(line) if len(line) <= LINE_MAX else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        fault = "is not a JSON object" if len(line) <= LINE_MAX else "is too long for a user"
        return FileRow(number, {"text": line.rstrip("\r\n")}, {}, fault)
    source = _without_notes(found)
    if (
        len(source) > len(KNOWN_COLUMNS) + 1
    ):  # one unknown field is reported by its name, as in a list
        return FileRow(
            number, source, {}, f"has unknown fields; allowed: {', '.join(KNOWN_COLUMNS)}"
        )
    return FileRow(number, source, _meant(source))


def _without_notes(source: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in source.items() if name not in NOTES}


def _meant(source: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in source.items()
        if name not in _EXPORTED_ONLY and value is not None and value != ""
    }

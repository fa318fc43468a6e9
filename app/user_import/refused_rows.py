"""Writer of the file of refused rows, in the format of the imported file."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from app.core.details import Detail
from app.core.text.spreadsheets import escape_formulas, unescape_formulas
from app.services.user.file_parser import NOTES, SECRETS, FileRow, UserFileError, is_csv


class RefusedRowsFile:
    """Writes refused rows, passwords included, into a file that only its owner may read. The file
    is created with the first row.

    Args:
        file: the file to write.
        source: the imported file.

    Attributes:
        count: number of rows written.

    Raises:
        UserFileError: `file` is `source`, or of another format.
    """

    def __init__(self, file: Path, source: Path) -> None:
        if file.resolve() == source.resolve() or is_csv(file) != is_csv(source):
            raise UserFileError(f"{file}: should be another file, ending in {source.suffix}")
        self.file = file
        self.count = 0
        self._is_csv = is_csv(file)
        self._output: TextIO | None = None

    def add(self, row: FileRow, reasons: Sequence[Detail]) -> None:
        self.count += 1
        output = self._output or self._begin(row)
        texts = [row.fault] if row.fault else [f"{r['field']}: {r['message']}" for r in reasons]
        if self._is_csv:
            cells = [_cell(name, cell) for name, cell in row.source.items()]
            csv.writer(output).writerow([*cells, row.line, "; ".join(texts)])
        else:
            notes = {"line": row.line, "errors": texts}
            output.write(json.dumps({**row.source, **notes}) + "\n")

    def _begin(self, row: FileRow) -> TextIO:
        self.file.unlink(missing_ok=True)
        self.file.touch(mode=0o600, exist_ok=False)
        self._output = output = self.file.open("w", encoding="utf-8", newline="")
        if self._is_csv:
            csv.writer(output).writerow([*row.source, *NOTES])
        return output

    def close(self) -> None:
        if self._output is not None:
            self._output.close()


def _cell(name: str, cell: str) -> str:
    """As in an export: the file is opened in a spreadsheet, and imported again."""
    return cell if name in SECRETS else escape_formulas(unescape_formulas(cell))

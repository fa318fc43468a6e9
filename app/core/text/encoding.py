"""Detection of a text file's encoding: UTF-8, UTF-16 or Windows-1252."""

import codecs
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

WINDOWS = "cp1252"
"""Excel's encoding of "CSV" on Western systems."""
ENCODING_NAMES = {WINDOWS: "Windows-1252", "utf-16": "UTF-16"}
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class EncodingError(ValueError):
    """The text has no supported encoding.

    Attributes:
        line: number of the first line that cannot be decoded, from 1.
    """

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line} cannot be decoded")
        self.line = line


@dataclass(frozen=True, slots=True)
class TextFormat:
    """Number of lines, and Python's name of the encoding."""

    lines: int
    encoding: str


def text_format(content: BinaryIO, *, or_windows: bool) -> TextFormat:
    """Detect the format of a text by reading it once, line by line.

    Args:
        content: positioned at its beginning.
        or_windows: whether Windows-1252 is allowed. It is detected if the text is not UTF-8, no
            line with an accent is UTF-8 (else the file is damaged), and there is no NUL.

    Raises:
        EncodingError: no supported encoding was detected.
    """
    begin = content.read(2)
    content.seek(0)
    if begin in _UTF16:
        return TextFormat(_utf16_lines(content), "utf-16")
    return _utf8_or_windows(content, or_windows=or_windows)


def _utf16_lines(content: BinaryIO) -> int:
    count = 0
    text = io.TextIOWrapper(content, encoding="utf-16", newline="")
    try:
        for count, _ in enumerate(text, 1):  # noqa: B007  # the last is the count
            pass
    except UnicodeError:
        raise EncodingError(count + 1) from None
    finally:
        text.detach()
    return count


def _utf8_or_windows(lines: Iterable[bytes], *, or_windows: bool) -> TextFormat:
    count = first_fault = 0
    is_windows = or_windows
    for count, line in enumerate(lines, 1):  # the last is the count
        is_windows = is_windows and b"\0" not in line
        if line.isascii():
            continue
        if _is(line, "utf-8"):
            is_windows = False
        else:
            first_fault = first_fault or count
            is_windows = is_windows and _is(line, WINDOWS)
        if first_fault and not is_windows:
            raise EncodingError(first_fault)
    if first_fault and not is_windows:  # a NUL followed later
        raise EncodingError(first_fault)
    return TextFormat(count, WINDOWS if first_fault else "utf-8-sig")


def _is(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True

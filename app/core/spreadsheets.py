"""Text that a spreadsheet shows and does not calculate."""

import re

# What spreadsheets begin a formula with, whatever their language; after OWASP's "CSV Injection".
_FORMULA = "=+\\-@\t\r\n＝＋－＠"
# Where a program that splits a line elsewhere than at our commas begins another cell: Excel splits
# at the `;` of most of Europe, and an import dialog at any of these.
_SEPARATOR = r"\s\x00-\x1f\x7f-\x9f,;|:^~"
# A reader takes a quote at the beginning of a cell for no part of it.
_BEGINS_FORMULA = rf"(?:^|(?<=[{_SEPARATOR}]))"
_DEFUSE = re.compile(rf"{_BEGINS_FORMULA}(?=['\"]*[{_FORMULA}])")
_UNDEFUSE = re.compile(rf"{_BEGINS_FORMULA}'(?=['\"]*[{_FORMULA}])")


def defused(text: str) -> str:
    """`text` with an apostrophe before each formula, at its beginning and behind each separator;
    one that has an apostrophe gets another, to be told from it."""
    return _DEFUSE.sub("'", text)


def undefused(cell: str) -> str:
    """The text of which `defused` made `cell`."""
    return _UNDEFUSE.sub("", cell)

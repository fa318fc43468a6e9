"""Escaping of spreadsheet formulas in exported text."""

import re

# Characters that begin a formula in any language; after OWASP's "CSV Injection".
_FORMULA = "=+\\-@\t\r\n＝＋－＠"
# Separators at which other programs split a line: Excel at `;` in most of Europe, import dialogs at
# any of these.
_SEPARATOR = r"\s\x00-\x1f\x7f-\x9f,;|:^~"
# A quote at the beginning of a cell is not part of its text.
_BEGINS_FORMULA = rf"(?:^|(?<=[{_SEPARATOR}]))"
_DEFUSE = re.compile(rf"{_BEGINS_FORMULA}(?=['\"]*[{_FORMULA}])")
_UNDEFUSE = re.compile(rf"{_BEGINS_FORMULA}'(?=['\"]*[{_FORMULA}])")


def escape_formulas(text: str) -> str:
    """`text` with an apostrophe before each formula, at the beginning and after each separator. An
    existing apostrophe there is doubled, so that `unescape_formulas` is exact."""
    return _DEFUSE.sub("'", text)


def unescape_formulas(cell: str) -> str:
    """Inverse of `escape_formulas`."""
    return _UNDEFUSE.sub("", cell)

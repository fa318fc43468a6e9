"""Cells that no spreadsheet calculates, wherever it splits the line, and that come back whole."""

import csv
import random
from io import StringIO
from time import perf_counter

import pytest

from app.core.text.spreadsheets import escape_formulas, unescape_formulas

FORMULA = "=+-@\t\r\n＝＋－＠"
SEPARATORS = ",;\t|: ^~"
NASTY = [
    *("z;=2*21;y", "=1", "'=1", "''=1", "a\t=1", "a|=1", "a =1", "a,=1", "a:=1", ";=1", ";;=1"),
    *('z;"=2*21";y', 'z;""=1', "z;'=1", "z;'\"=1", "a\n=1", "a\r\n=1", "a\x0b=1", "a\x85=1"),
    *("\t=1", "\t\t=1", " =1", "\u00a0=1", "a;＝1", "-", "'", "'''", '"', ";", "Ada - King"),
    *('x\n"=1', "a\u2028=1", "=", "=;=;=", "';'=;'"),
]


def made_up(count: int) -> list[str]:
    """Strings of nothing but what matters here."""
    chance = random.Random(15)
    alphabet = "".join((FORMULA, SEPARATORS, "'''\"\"az\x00\x85\u2028"))
    return ["".join(chance.choices(alphabet, k=chance.randint(0, 9))) for _ in range(count)]


def written(texts: list[str]) -> str:
    """As the export writes them, between a number and a moment."""
    file = StringIO()
    csv.writer(file).writerows(
        [[1, escape_formulas(text), "2026-11-21T06:30:00+00:00"] for text in texts]
    )
    return file.getvalue()


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_NONE], ids=["quotes", "none"])
@pytest.mark.parametrize("delimiter", [*SEPARATORS])
def test_no_cell_begins_with_a_formula_wherever_the_line_is_split(delimiter, quoting):
    """S15: each text by itself, since an open quote would hide those behind it."""
    for text in NASTY + made_up(5_000):
        lines = StringIO(written([text]), newline="")
        rows = csv.reader(lines, delimiter=delimiter, quoting=quoting, skipinitialspace=True)
        for cell in (cell for row in rows for cell in row):
            assert not cell.startswith((*"=+-@＝＋－＠",)), (text, cell)


def test_each_text_comes_back_as_it_was():
    """S15"""
    for text in NASTY + made_up(20_000):
        assert unescape_formulas(escape_formulas(text)) == text
        assert unescape_formulas(escape_formulas(escape_formulas(text))) == escape_formulas(text)


def test_what_holds_no_formula_stays_as_it_is():
    for text in ("Ada Lovelace", "ada+x@example.com", "O'Neill", "Jean-Luc", "a; b", "1-2", ""):
        assert escape_formulas(text) == text


def test_the_time_it_takes_grows_with_the_text_and_no_faster():
    """S15: apostrophes in a row are looked through once."""
    began = perf_counter()
    for text in ("'" * 100_000, ";'" * 50_000, '"' * 100_000 + "=", ";" * 100_000):
        unescape_formulas(escape_formulas(text))

    assert perf_counter() - began < 2

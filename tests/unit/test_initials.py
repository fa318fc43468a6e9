"""Initials: whole characters as they are read, of names in any script."""

import pytest

from app.admin.drawing.initials import MAX_POINTS, initials

PAIRS = {
    "Ada Lovelace": ("A", "L"),
    "Ada King Lovelace": ("A", "L"),
    "山田\u3000太郎": ("山", "太"),
    "Jean\u00a0Luc": ("J", "L"),
    "e\u0301a b\u0301c": ("e\u0301", "b\u0301"),
    "İsmail Işık": ("İ", "I"),
    "ismail ışık": ("i", "ı"),
    "عمر خالد": ("ع", "خ"),
    "👩\u200d💻 Root": ("👩\u200d💻", "R"),
    "👍🏽 Root": ("👍🏽", "R"),
    "🇹🇷🇩🇪 Root": ("🇹🇷", "R"),
    "❤\ufe0f Root": ("❤\ufe0f", "R"),
    "(Bob) ’t Hooft -": ("B", "H"),
    "क्षमा देव": ("क\u094dष", "दे"),
    "1st 2nd": ("1", "2"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_first_and_the_last_word_begin_them(name):
    # The character between them keeps Arabic letters apart.
    assert initials(name, "zed") == "\u200c".join(PAIRS[name])


@pytest.mark.parametrize("name", ["Ada", "山田太郎", "👨🏽\u200d👩🏽\u200d👧🏽\u200d👦🏽", "é"])
def test_one_word_has_one(name):
    first = name if name in {"👨🏽\u200d👩🏽\u200d👧🏽\u200d👦🏽", "é"} else name[0]

    assert initials(name, "zed") == first


@pytest.mark.parametrize("name", [None, "", " ", "---", "\u200d", "\u0301"])
def test_without_a_letter_the_username_has_them(name):
    assert initials(name, "zed") == "z"


def test_many_marks_are_cut_short():
    assert len(initials("a" + "\u0301" * 200)) == MAX_POINTS

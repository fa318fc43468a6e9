"""Initials of names, by whole characters as they are read."""

from unicodedata import category, combining

MAX_POINTS = 12
"""Code points of one initial: a family of four emoji has eleven."""
_JOINER, _NON_JOINER = "\u200d", "\u200c"
_VIRAMA = 9
"""Combining class of the mark that joins an Indic letter with the next one."""


def initials(*names: str | None) -> str:
    """`AL` for `Ada Lovelace`: first and last word of the first name that has any.

    Letters stay as they are written: the capital of `i` is another one in Turkish.
    """
    for name in names:
        found = [first for word in (name or "").split() if (first := _first(word))]
        if found:
            # Between two Arabic letters, so that they are not joined as in a word.
            return found[0] if len(found) == 1 else f"{found[0]}{_NON_JOINER}{found[-1]}"
    return ""


def _first(word: str) -> str:
    """The first letter, digit or symbol with its marks; empty without one."""
    begin = next((at for at, char in enumerate(word) if category(char)[0] in "LNS"), len(word))
    points = word[begin : begin + MAX_POINTS]
    end = 2 if all(map(_is_flag_half, points[:2])) else 1
    while end < len(points) and _continues(points[end - 1], points[end]):
        end += 1
    return points[:end]


def _continues(before: str, char: str) -> bool:
    """Whether a code point belongs to the character before it."""
    is_mark = category(char)[0] == "M" or category(char) == "Cf" or "🏻" <= char <= "🏿"
    is_joined = before == _JOINER or (combining(before) == _VIRAMA and category(char)[0] == "L")
    return is_mark or is_joined


def _is_flag_half(char: str) -> bool:
    return "🇦" <= char <= "🇿"

"""Which passwords are too weak for a new account."""

from importlib.util import find_spec
from pathlib import Path
from runpy import run_path

from app.core.normalisation import is_blank, normalise_password


def _common() -> frozenset[str]:
    """The 30,000 most common passwords, lower-case, as zxcvbn ships them.

    Read past the package, which would keep 10 MB of other lists in memory.
    """
    package = find_spec("zxcvbn")
    assert package is not None  # noqa: S101  # a dependency of ours; tells mypy
    assert package.origin is not None  # noqa: S101  # the same
    lists = run_path(str(Path(package.origin).with_name("frequency_lists.py")))
    return frozenset(lists["FREQUENCY_LISTS"]["passwords"])


COMMON = _common()
"""OWASP ASVS 5 V6.2.4 asks for the top 3,000 at least."""


SURPRISING = 6
"""Characters that a guesser cannot foresee: a password needs as many, whatever its length."""
_KEYBOARD = (
    *("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"),
    *("qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn"),
    *("1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm"),
)


def _pairs(line: str) -> set[str]:
    return {line[place : place + 2] for place in range(len(line) - 1)}


_RIGHT = frozenset().union(*map(_pairs, _KEYBOARD))
_LEFT = frozenset(pair[::-1] for pair in _RIGHT)
_DIRECTIONS = frozenset({"same", "up", "down", "right", "left"})


def weakness(password: str, min_length: int, *known: str) -> str | None:
    """Why `password` may not be used; None where it may. Linear in its length.

    Args:
        password: as submitted.
        min_length: characters it needs.
        known: what is public about the account: its email, its username, the service's name.
    """
    normal = normalise_password(password)
    if len(normal) < min_length:
        return f"should have at least {min_length} characters"
    if not normal:
        return None
    text = _squeezed(normal)
    if is_blank(normal) or len(text) < min(SURPRISING, min_length):
        return "should not be mostly spaces"
    if _is_common(text):
        return "is one of the most common passwords"
    unit = _unit(text)
    if unit != text and len(unit) < max(min_length, SURPRISING):
        return "should not repeat the same few characters"
    if len(_without_runs(text)) < min(SURPRISING, len(text)):
        return "should not be a sequence such as 12345678 or qwertyui"
    if any(_is_little_more_than(word, text) for name in known for word in _words(name)):
        return "should not be the email, the username or the name of the service"
    return None


def _squeezed(text: str) -> str:
    """Without case and spaces, which guessers try first."""
    return "".join(normalise_password(text).casefold().split())


def _unit(text: str) -> str:
    """What `text` is made of by repetition, such as `abc` of `abcabcab`; else `text` itself."""
    # The longest beginning that is an end as well, for each beginning (Knuth, Morris, Pratt).
    borders, border = [0], 0
    for character in text[1:]:
        while border and text[border] != character:
            border = borders[border - 1]
        border += text[border] == character
        borders.append(border)
    period = len(text) - borders[-1]
    return text[:period] if 2 * period <= len(text) else text


def _steps(pair: str) -> frozenset[str]:
    """Directions in which the second character is next to the first."""
    distance = ord(pair[1]) - ord(pair[0])
    by_code = {0: "same", 1: "up", -1: "down"}
    by_key = {"right": pair in _RIGHT, "left": pair in _LEFT}
    found = {direction for direction, is_so in by_key.items() if is_so}
    return frozenset(found | {by_code[distance]} if distance in by_code else found)


def _without_runs(text: str) -> str:
    """`text` with the first character alone of every run of three or more that repeats, counts or
    follows the keyboard. Done twice: `aaabbbccc` becomes `abc`, and that `a`."""
    for _ in range(2):
        kept, start = "", 0
        while start < len(text):
            end, directions = start + 1, _DIRECTIONS
            while end < len(text) and (further := directions & _steps(text[end - 1 : end + 1])):
                directions, end = further, end + 1
            kept += text[start] if end - start >= 3 else text[start:end]
            start = end
        text = kept
    return text


def _is_common(text: str) -> bool:
    """Whether it is on the list, or a word of the list with digits or signs around it."""
    if text in COMMON or _without_runs(text) in COMMON:
        return True
    begin, end = 0, len(text)
    while begin < end and not text[begin].isalpha():
        begin += 1
    while end > begin and not text[end - 1].isalpha():
        end -= 1
    around = text[:begin] + text[end:]
    return _unit(text[begin:end]) in COMMON and len(_without_runs(around)) < SURPRISING


def _words(known: str) -> set[str]:
    """What a password may be made of: an email, its parts and its domain's, or any other name."""
    local, _, domain = known.rpartition("@")
    words = {known, local, domain, domain.partition(".")[0], domain.replace(".", "")}
    return {word for word in map(_squeezed, words) if len(word) > 2}


def _is_little_more_than(word: str, text: str) -> bool:
    before, found, after = text.partition(word)
    return bool(found) and len(_without_runs(before + after)) < SURPRISING

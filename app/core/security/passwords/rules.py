"""Rules for new passwords."""

from ast import literal_eval
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

from app.core.text.normalisation import is_blank, normalise_password


def _common() -> dict[int, str]:
    """The 30,000 most common passwords, in lower case, from the data of zxcvbn: by their length,
    as one text, with a comma before and after each.

    The file is read without importing the package, which would load 10 MB of other lists. As a set
    they would take 5 MiB more, in each process.
    """
    package = find_spec("zxcvbn")
    assert package is not None  # noqa: S101  # a dependency; for mypy
    assert package.origin is not None  # noqa: S101  # the same
    with Path(package.origin).with_name("frequency_lists.py").open(encoding="utf-8") as lines:
        line = next(line for line in lines if line.lstrip().startswith('"passwords": '))
    by_length = defaultdict(list)
    for password in literal_eval('"' + line.split('"')[3] + '"').split(","):
        by_length[len(password)].append(password)
    return {length: f",{','.join(passwords)}," for length, passwords in by_length.items()}


COMMON = _common()
"""Refused passwords; OWASP ASVS 5 V6.2.4 asks for at least the top 3,000."""


MIN_UNPREDICTABLE = 6
"""Minimum number of unpredictable characters of a password of any length."""
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
    """The reason to refuse `password`; None if it is acceptable. Takes linear time.

    Args:
        password: as submitted.
        min_length: in characters.
        known: public facts: the account's email and names, the name of the service.
    """
    normal = normalise_password(password)
    if len(normal) < min_length:
        return f"should have at least {min_length} characters"
    if not normal:
        return None
    text = _squeezed(normal)
    if is_blank(normal) or len(text) < min(MIN_UNPREDICTABLE, min_length):
        return "should not be mostly spaces"
    if _is_common(text):
        return "is one of the most common passwords"
    unit = _unit(text)
    if unit != text and len(unit) < max(min_length, MIN_UNPREDICTABLE):
        return "should not repeat the same few characters"
    if len(_without_runs(text)) < min(MIN_UNPREDICTABLE, len(text)):
        return "should not be a sequence such as 12345678 or qwertyui"
    if any(_is_little_more_than(word, text) for name in known for word in _words(name)):
        return "should not be the email, a name of the user or the name of the service"
    return None


def _squeezed(text: str) -> str:
    """Lower case, without spaces: variations of both are guessed first."""
    return "".join(normalise_password(text).casefold().split())


def _unit(text: str) -> str:
    """The unit that `text` repeats, such as `abc` of `abcabcab`; else `text` itself."""
    # For each prefix, the longest border (Knuth-Morris-Pratt).
    borders, border = [0], 0
    for character in text[1:]:
        while border and text[border] != character:
            border = borders[border - 1]
        border += text[border] == character
        borders.append(border)
    period = len(text) - borders[-1]
    return text[:period] if 2 * period <= len(text) else text


def _steps(pair: str) -> frozenset[str]:
    """Directions from the first character to the second, if they are neighbours."""
    distance = ord(pair[1]) - ord(pair[0])
    by_code = {0: "same", 1: "up", -1: "down"}
    by_key = {"right": pair in _RIGHT, "left": pair in _LEFT}
    found = {direction for direction, is_so in by_key.items() if is_so}
    return frozenset(found | {by_code[distance]} if distance in by_code else found)


def _without_runs(text: str) -> str:
    """`text` with each run of three or more characters that repeat, count or follow the keyboard
    reduced to its first one. Applied twice: `aaabbbccc` becomes `abc`, and then `a`."""
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
    """Whether `text` is a common password, or one with digits or signs around it."""
    if _is_listed(text) or _is_listed(_without_runs(text)):
        return True
    begin, end = 0, len(text)
    while begin < end and not text[begin].isalpha():
        begin += 1
    while end > begin and not text[end - 1].isalpha():
        end -= 1
    around = text[:begin] + text[end:]
    return _is_listed(_unit(text[begin:end])) and len(_without_runs(around)) < MIN_UNPREDICTABLE


def _is_listed(text: str) -> bool:
    return f",{text}," in COMMON.get(len(text), "")


def _words(known: str) -> set[str]:
    """Words derived from a public fact: an email, its parts and those of its domain, or a name."""
    local, _, domain = known.rpartition("@")
    words = {known, local, domain, domain.partition(".")[0], domain.replace(".", "")}
    words.update(known.split())
    return {word for word in map(_squeezed, words) if len(word) > 2}


def _is_little_more_than(word: str, text: str) -> bool:
    before, found, after = text.partition(word)
    return bool(found) and len(_without_runs(before + after)) < MIN_UNPREDICTABLE

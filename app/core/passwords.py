"""Which passwords are too weak for a new account."""

from importlib.util import find_spec
from pathlib import Path
from runpy import run_path


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


def weakness(password: str, min_length: int, *known: str) -> str | None:
    """Why `password` may not be used; None where it may.

    Args:
        password: as submitted.
        min_length: characters it needs.
        known: what everybody knows about the account, such as its email and username.
    """
    lowered = password.lower()
    if len(password) < min_length:
        return f"should have at least {min_length} characters"
    if lowered in COMMON:
        return "is one of the most common passwords"
    if any(lowered == word.lower() for word in known if word):
        return "should not be the email or username"
    return None

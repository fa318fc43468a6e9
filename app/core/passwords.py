"""Which passwords are too weak for a new account."""

from zxcvbn.frequency_lists import FREQUENCY_LISTS

COMMON = frozenset(FREQUENCY_LISTS["passwords"])
"""The 30,000 most common ones, lower-case, as zxcvbn ships them: OWASP ASVS 5 V6.2.4 asks for the
top 3,000 at least."""


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

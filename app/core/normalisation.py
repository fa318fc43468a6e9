"""The one spelling of emails, usernames, names, searches and passwords.

Sign-up, log-in, search, import, admin pages, commands and rate limits all use these functions, so
that what was typed in one place is found by the same characters typed in another.
"""

import unicodedata
from string import ascii_lowercase, ascii_uppercase

import email_validator

MAX_LENGTH = 1024
"""Characters of what is normalised. Unicode normalisation of an endless run of combining marks
takes time quadratic in its length: a second for 40,000. No stored field is as long."""
_SPACES = " \u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})
"""Controls, lone surrogates, private use, line and paragraph separators. Unassigned characters are
admitted: a name may hold an emoji that is newer than this Python."""
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# The library knows these and lets its users change them: here they are a rule that can be lifted.
_SPECIAL_USE_DOMAINS = (
    *(f".{name}" for name in email_validator.SPECIAL_USE_DOMAIN_NAMES),
    ".internal",  # reserved for private use by ICANN's board, 2024
)
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


def _nfc(text: str) -> str:
    """What is too long stays as it is, and is refused by its length."""
    return unicodedata.normalize("NFC", text) if len(text) <= MAX_LENGTH else text


def is_encodable(text: str) -> bool:
    """Whether `text` holds no lone surrogate, which is no character and has no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can store `text`: encodable, and without U+0000."""
    return "\0" not in text and is_encodable(text)


def normalise_email(text: str) -> str:
    """NFC, lower case, without surrounding space; the domain in Unicode, not in punycode.

    Special-use domains such as `corp.local` are admitted here: see `has_special_use_domain`.

    Raises:
        ValueError: not an email address.
    """
    checked = email_validator.validate_email(
        _nfc(_nfc(text).strip(_SPACES).lower()),
        check_deliverability=False,
        globally_deliverable=False,
        strict=True,
    )
    if not checked.ascii_domain[-1:].isalpha():
        raise ValueError("no top-level domain ends with a digit")
    return checked.normalized


def has_special_use_domain(email: str) -> bool:
    """Whether no public mail server can serve the domain: `localhost`, `corp.local`, `home.arpa`.

    Args:
        email: as `normalise_email` returns it.
    """
    domain = email.rpartition("@")[2]
    return "." not in domain or f".{domain}".endswith(_SPECIAL_USE_DOMAINS)


def normalise_username(text: str) -> str:
    """NFC, without surrounding space. Its case stays, for display."""
    return _nfc(text).strip(_SPACES)


def username_key(text: str) -> str:
    """What usernames are compared by: the database's `lower(username COLLATE "C")`.

    ASCII letters alone change, on both sides: other rules for case depend on the language.
    """
    return normalise_username(text).translate(_ASCII_LOWER)


def normalise_login(text: str) -> str:
    """What an account is looked up by: the email where there is an @, else the username's key.

    Never fails: what cannot be an email is looked up as it is, at the same cost. What is longer
    than any email or username is nobody's, and stays as it is.
    """
    if len(text) > MAX_LENGTH:
        return text
    if "@" not in text:
        return username_key(text)
    try:
        return normalise_email(text)
    except ValueError:
        return _nfc(text).strip(_SPACES).lower()


def normalise_name(text: str) -> str:
    """NFC, without surrounding whitespace.

    Raises:
        ValueError: it holds a control or a character of that kind; the message is a sentence.
    """
    return _admitted(_nfc(text).strip())


def _admitted(name: str) -> str:
    if not all(map(_is_admitted, name)):
        raise ValueError("control characters are not allowed")
    return name


def _is_admitted(character: str) -> bool:
    return not (
        unicodedata.category(character) in _REFUSED_CATEGORIES
        or character in _BIDI_CONTROLS
        or ord(character) & 0xFFFE == 0xFFFE  # noncharacters
        or 0xFDD0 <= ord(character) <= 0xFDEF
    )


def is_blank(name: str) -> bool:
    """Whether nothing of `name` is visible: spaces, joiners and other format characters alone."""
    return all(unicodedata.category(character) in {"Zs", "Cf"} for character in name)


def normalise_search(text: str) -> str:
    """NFC, without surrounding space; where it is a whole email, as an email.

    Raises:
        ValueError: as for a name.
    """
    search = _admitted(_nfc(text).strip(_SPACES))
    if "@" in search:
        try:
            return normalise_email(search)
        except ValueError:
            return search
    return search


def normalise_password(text: str) -> str:
    """NFC: keyboards and systems differ in how they compose a letter. Nothing else is changed."""
    return _nfc(text)

"""Normalisation of emails, usernames, names, searches and passwords.

Sign-up, login, search, import, admin pages, commands and rate limits all use these functions, so
that text entered in one place matches the same text entered in another.
"""

import unicodedata
from string import ascii_lowercase, ascii_uppercase

import email_validator

MAX_LENGTH = 1024
"""Maximum length, in characters, of text that is normalised. Unicode normalisation of combining
marks takes quadratic time: a second for 40,000. No stored field is as long."""
_SPACES = " \u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})
"""Controls, lone surrogates, private use, line and paragraph separators. Unassigned characters are
allowed: a name may contain an emoji that is newer than this Python."""
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# Removed from the library's own list, since here a setting can allow them.
_SPECIAL_USE_DOMAINS = (
    *(f".{name}" for name in email_validator.SPECIAL_USE_DOMAIN_NAMES),
    ".internal",  # reserved for private use by ICANN's board, 2024
)
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


def _nfc(text: str) -> str:
    """NFC form; longer text is returned unchanged, to be refused for its length."""
    return unicodedata.normalize("NFC", text) if len(text) <= MAX_LENGTH else text


def is_encodable(text: str) -> bool:
    """Whether `text` can be encoded as UTF-8: lone surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can store `text`: encodable, and without U+0000."""
    return "\0" not in text and is_encodable(text)


def normalise_email(text: str) -> str:
    """Normalise an email: NFC, lower case, no surrounding space, domain in Unicode, not punycode.

    Special-use domains such as `corp.local` are allowed here: see `has_special_use_domain`.

    Raises:
        ValueError: not an email address.
    """
    return _validated(text).normalized


def smtp_address(text: str) -> str:
    """The form of an email for SMTP: like `normalise_email`, but the domain in punycode, which
    every server can read.

    Raises:
        ValueError: not an email address.
    """
    checked = _validated(text)
    return f"{checked.local_part}@{checked.ascii_domain}"


def _validated(text: str) -> email_validator.ValidatedEmail:
    checked = email_validator.validate_email(
        _nfc(_nfc(text).strip(_SPACES).lower()),
        check_deliverability=False,
        globally_deliverable=False,
        strict=True,
    )
    if not checked.ascii_domain[-1:].isalpha():
        raise ValueError("no top-level domain ends with a digit")
    return checked


def has_special_use_domain(email: str) -> bool:
    """Whether the domain is not public: `localhost`, `corp.local`, `home.arpa`.

    Args:
        email: as `normalise_email` returns it.
    """
    domain = email.rpartition("@")[2]
    return "." not in domain or f".{domain}".endswith(_SPECIAL_USE_DOMAINS)


def normalise_username(text: str) -> str:
    """Normalise a username: NFC, no surrounding space. The case stays, for display."""
    return _nfc(text).strip(_SPACES)


def username_key(text: str) -> str:
    """The form in which usernames are compared, like the database's `lower(username COLLATE "C")`.

    Only ASCII letters change: other rules for case depend on the language.
    """
    return normalise_username(text).translate(_ASCII_LOWER)


def normalise_login(text: str) -> str:
    """The form in which an account is looked up: an email if there is an @, else a username key.

    Never fails: an invalid email, and longer text than any account has, is returned unchanged and
    looked up at the same cost.
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
    """Normalise a name: NFC, no surrounding whitespace.

    Raises:
        ValueError: it contains a refused character; the message is a sentence.
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
    """Whether `name` is invisible: only spaces, joiners and other format characters."""
    return all(unicodedata.category(character) in {"Zs", "Cf"} for character in name)


def normalise_search(text: str) -> str:
    """Normalise a search: NFC, no surrounding space; a complete email like an email.

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
    """Normalise a password: NFC only, since keyboards and systems compose letters differently."""
    return _nfc(text)

"""API keys: their form, made and read without a query."""

import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from string import ascii_letters, digits
from uuid import UUID, uuid4
from zlib import crc32

from app.core.exceptions import TokenInvalidException

PREFIX = "bapi_"
PATTERN = PREFIX + r"[0-9a-f]{32}_[0-9A-Za-z]{49}"
"""For scanners of secrets, see docs/SECURITY.md: prefix, id, 256 random bits in 43 characters, and
a checksum in 6, by which a scanner knows a key from what only looks like one."""
_ALPHABET = digits + ascii_letters
_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6
_LENGTH = len(PREFIX) + 32 + 1 + _SECRET_LENGTH + _CHECKSUM_LENGTH


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Contents of a well-formed key. The database decides whether it is valid.

    Attributes:
        id: of its row.
        hash: SHA-256 of the whole key, 32 bytes. The key is random, so that a slow hash would add
            no protection.
        text: the key, which only its maker gets to see, once.
    """

    id: UUID
    hash: bytes
    text: str = field(repr=False)


def is_api_key(token: str) -> bool:
    """Whether a bearer token is meant to be a key; a JWT never is."""
    return token.startswith(PREFIX)


def new_api_key() -> ApiKey:
    secret = _in_base62(int.from_bytes(secrets.token_bytes(32)), _SECRET_LENGTH)
    body = f"{PREFIX}{uuid4().hex}_{secret}"
    return read_api_key(body + _checksum(body))


@lru_cache(maxsize=1024)  # a program sends the same key with each request, 6 µs of it
def read_api_key(text: str) -> ApiKey:
    """The contents of `text`.

    Raises:
        TokenInvalidException: it is malformed, or its checksum is wrong.
    """
    body, checksum = text[:-_CHECKSUM_LENGTH], text[-_CHECKSUM_LENGTH:]
    if len(text) != _LENGTH or not text.isascii() or checksum != _checksum(body):
        raise TokenInvalidException("Invalid API key")
    hexadecimal = body[len(PREFIX) :][:32]
    try:
        key_id = UUID(hex=hexadecimal)
    except ValueError as error:
        raise TokenInvalidException("Invalid API key") from error
    return ApiKey(key_id, sha256(text.encode()).digest(), text)


def _checksum(body: str) -> str:
    return _in_base62(crc32(body.encode()), _CHECKSUM_LENGTH)


def _in_base62(number: int, length: int) -> str:
    found = ""
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        found = _ALPHABET[rest] + found
    return found

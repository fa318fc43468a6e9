"""Secrets of the links in mails: derived when a link is made, stored as hashes (ADR 20)."""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from uuid import UUID

from app.core.security import base64url


def hash_of(token: str) -> bytes:
    """SHA-256, 32 bytes. A token cannot be guessed, so that a slow hash would add no protection."""
    return sha256(token.encode()).digest()


class OneTimeTokenDeriver:
    """Derives a token from the random id of its row, by HMAC-SHA256: 256 bits, 43 characters.

    So the process that sends a mail makes the link again at each attempt, and neither the job nor
    the database has it.

    Args:
        secret_key: derives new tokens.
        accepted: other keys that may have derived one, while keys are rotated.
    """

    def __init__(self, secret_key: str, accepted: Iterable[str] = ()) -> None:
        self._keys = [
            hmac.digest(key.encode(), b"one-time token", "sha256")
            for key in (secret_key, *accepted)
        ]

    def new(self, token_id: UUID) -> str:
        return _token(self._keys[0], token_id)

    def again(self, token_id: UUID, hashed: bytes) -> str | None:
        """The token with this hash; None where another key derived it."""
        tokens = (_token(key, token_id) for key in self._keys)
        return next((token for token in tokens if hash_of(token) == hashed), None)


def _token(key: bytes, token_id: UUID) -> str:
    return base64url.encode(hmac.digest(key, token_id.bytes, "sha256"))

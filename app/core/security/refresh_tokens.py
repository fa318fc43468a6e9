"""Refresh tokens: random, stored as hashes, and authenticated without a query."""

import hmac
import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from app.core.exceptions import TokenInvalidException
from app.core.security import base64url

_GENERATION_LENGTH = 4
_RANDOM_LENGTH = 32
_MAC_LENGTH = 16
_LENGTH = 103
"""In characters: 32 for the session's id, a dot, and 70 for 52 bytes."""


class RefreshToken(NamedTuple):
    """Contents of an authentic token. The session decides whether it is still valid.

    Attributes:
        session_id: of its session.
        generation: number of rotations of the session when the token was issued.
        hash: SHA-256, 32 bytes. The token is random, so that a slow hash would add no protection.
    """

    session_id: UUID
    generation: int
    hash: bytes


class RefreshTokenSigner:
    """Issues and authenticates refresh tokens. Guesses cost neither a query nor a Redis key.

    A token is `<session id>.<generation, 256 random bits and a MAC over all three>`.

    Args:
        secret_key: signing key.
        accepted: further keys that are accepted, for key rotation.
    """

    def __init__(self, secret_key: str, accepted: Iterable[str] = ()) -> None:
        self._keys = [
            hmac.digest(key.encode(), b"refresh", "sha256") for key in (secret_key, *accepted)
        ]

    def new(self, session_id: UUID, generation: int = 0) -> str:
        content = generation.to_bytes(_GENERATION_LENGTH) + secrets.token_bytes(_RANDOM_LENGTH)
        sealed = content + _mac(self._keys[0], session_id, content)
        return f"{session_id.hex}.{base64url.encode(sealed)}"

    def read(self, token: str) -> RefreshToken:
        """The contents of `token`.

        Raises:
            TokenInvalidException: it is malformed or not authentic.
        """
        session, _, secret = token.partition(".")
        if len(token) != _LENGTH:
            raise _refusal()
        try:
            session_id, sealed = UUID(hex=session), base64url.decode(secret)
        except ValueError as error:
            raise _refusal() from error
        content, mac = sealed[:-_MAC_LENGTH], sealed[-_MAC_LENGTH:]
        is_ours = session_id.hex == session and any(
            hmac.compare_digest(mac, _mac(key, session_id, content)) for key in self._keys
        )
        if not is_ours:
            raise _refusal()
        generation = int.from_bytes(content[:_GENERATION_LENGTH])
        return RefreshToken(session_id, generation, sha256(token.encode()).digest())


def _mac(key: bytes, session_id: UUID, content: bytes) -> bytes:
    return hmac.digest(key, session_id.bytes + content, "sha256")[:_MAC_LENGTH]


def _refusal() -> TokenInvalidException:
    return TokenInvalidException("Invalid refresh token")

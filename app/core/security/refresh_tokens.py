"""Refresh tokens: random, kept hashed, and known as ours without a query."""

import hmac
import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from app.core.exceptions import UnauthorizedException
from app.core.security import base64url

_GENERATION_LENGTH = 4
_RANDOM_LENGTH = 32
_MAC_LENGTH = 16
_LENGTH = 103
"""Characters: 32 of the session's id, a dot, and 70 for the 52 bytes behind it."""


class RefreshToken(NamedTuple):
    """What an authentic token says. Whether it still holds, the session knows.

    Attributes:
        session_id: whose it is.
        generation: how often tokens of the session had been used when it was made.
        hash: SHA-256, 32 bytes. The token is random: a slow hash would protect nothing more.
    """

    session_id: UUID
    generation: int
    hash: bytes


class RefreshTokenSigner:
    """Makes refresh tokens, and tells them from what never was one, so that guesses cost neither a
    query nor a place in Redis.

    A token is `<session id>.<generation, 256 random bits and a MAC over all three>`.

    Args:
        secret_key: it signs.
        accepted: keys whose tokens are taken as well, while keys are changed.
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
        """What `token` says.

        Raises:
            UnauthorizedException: it is none of ours.
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


def _refusal() -> UnauthorizedException:
    return UnauthorizedException("Invalid refresh token")

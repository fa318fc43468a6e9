"""Challenges of passkey ceremonies: random, signed, and valid for five minutes.

A challenge proves by itself that it is ours and fresh: asking for one stores nothing, so that
anonymous clients cannot fill a table. What was used is recorded by its user.
"""

import hmac
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

LIFETIME = 300
"""Seconds."""
_RANDOM_LENGTH = 32
_TIME_LENGTH = 8
_MAC_LENGTH = 32


class CeremonyRefused(Exception):
    """The response of an authenticator is malformed, or not valid here; the message says why, for
    the log."""


class Challenge(NamedTuple):
    """A valid challenge. `digest` stands for it where it is recorded as used."""

    digest: bytes
    expires_at: datetime


class ChallengeSigner:
    """Issues and verifies challenges: 256 random bits, the expiry, and a MAC.

    Args:
        secret_key: signing key.
        accepted: further keys that are accepted, for key rotation.
    """

    def __init__(self, secret_key: str, accepted: Iterable[str] = ()) -> None:
        self._keys = [
            hmac.digest(key.encode(), b"passkey challenge", "sha256")
            for key in (secret_key, *accepted)
        ]

    def new(self, purpose: str) -> bytes:
        """
        Args:
            purpose: what it is for, and for whom; another one does not accept it.
        """
        expires = int(time.time()) + LIFETIME
        content = secrets.token_bytes(_RANDOM_LENGTH) + expires.to_bytes(_TIME_LENGTH)
        return content + _mac(self._keys[0], purpose, content)

    def read(self, challenge: bytes, purpose: str) -> Challenge | None:
        """The challenge; None where it is not ours, expired, or for another purpose."""
        content, mac = challenge[:-_MAC_LENGTH], challenge[-_MAC_LENGTH:]
        if len(content) != _RANDOM_LENGTH + _TIME_LENGTH:
            return None
        is_ours = any(hmac.compare_digest(mac, _mac(key, purpose, content)) for key in self._keys)
        expires = int.from_bytes(content[_RANDOM_LENGTH:])
        if not is_ours or expires <= time.time():
            return None
        return Challenge(sha256(challenge).digest(), datetime.fromtimestamp(expires, UTC))


def _mac(key: bytes, purpose: str, content: bytes) -> bytes:
    return hmac.digest(key, purpose.encode() + b"\0" + content, "sha256")

"""Encryption of content in the database, by keys that are derived from the secret key."""

import base64
from collections.abc import Iterable
from hashlib import sha256
from typing import Literal

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Purpose = Literal["content", "totp"]
"""What is encrypted: files that wait for a job, or the secrets of authenticator apps."""


class ContentCipher:
    """Encrypts and authenticates bytes (Fernet).

    Args:
        secret_key: encrypts.
        accepted: other keys that may have encrypted, while keys are rotated.
        purpose: what is encrypted; each has a key of its own.

    Attributes:
        key_id: names the key that encrypts, to find what an earlier one has encrypted.
    """

    def __init__(
        self, secret_key: str, accepted: Iterable[str] = (), purpose: Purpose = "content"
    ) -> None:
        keys = [_derived(key, purpose) for key in (secret_key, *accepted)]
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])
        self.key_id = sha256(b"key id" + keys[0]).hexdigest()[:8]

    def seal(self, content: bytes) -> bytes:
        """The content, encrypted; a third longer."""
        return self._fernet.encrypt(content)

    def unseal(self, sealed: bytes) -> bytes | None:
        """The content; None where it was changed, or sealed by another key."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            return None


def _derived(key: str, purpose: Purpose) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(key.encode())

"""Encryption of content that waits in the database for a background job."""

import base64
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class ContentCipher:
    """Encrypts and authenticates bytes (Fernet), by a key that is derived from the secret key.

    Args:
        secret_key: encrypts.
        accepted: other keys that may have encrypted, while keys are rotated.
    """

    def __init__(self, secret_key: str, accepted: Iterable[str] = ()) -> None:
        self._fernet = MultiFernet([_fernet(key) for key in (secret_key, *accepted)])

    def seal(self, content: bytes) -> bytes:
        """The content, encrypted; a third longer."""
        return self._fernet.encrypt(content)

    def unseal(self, sealed: bytes) -> bytes | None:
        """The content; None where it was changed, or sealed by another key."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            return None


def _fernet(key: str) -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=b"content").derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))

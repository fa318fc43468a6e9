"""Telling whether two requests have the same body, without keeping it."""

import hmac
from collections.abc import Iterable


class BodyFingerprints:
    """HMAC-SHA256, 32 bytes. A plain hash of a body that holds a password would let whoever reads
    the table guess the password by the billion.

    Args:
        secret_key: shared by all processes that serve one API.
        accepted: keys that may have been used before, while keys are changed.
    """

    def __init__(self, secret_key: str, accepted: Iterable[str] = ()) -> None:
        self._keys = [
            hmac.digest(key.encode(), b"idempotency", "sha256") for key in (secret_key, *accepted)
        ]

    def of(self, body: bytes) -> list[bytes]:
        """One by each key: the first is to be kept, and any is to be recognised."""
        return [hmac.digest(key, body, "sha256") for key in self._keys]

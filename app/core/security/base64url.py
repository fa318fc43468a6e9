"""Base64url without padding, where each value has one spelling."""

import base64


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(text: str) -> bytes:
    """What `text` stands for.

    Raises:
        ValueError: it is not exactly what `encode` gives: the library's decoder passes over
            characters that it does not know, padding, and bits that are left over at the end.
    """
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(raw) != text:
        raise ValueError("not the one spelling of it")
    return raw

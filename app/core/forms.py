"""What the admin page gives to a browser, and believes when it comes back."""

import hmac
from collections.abc import Iterable

from app.core import base64url


class FormSigner:
    """Signs the tokens that forms carry, and short texts that a cookie carries.

    Args:
        secret_key: shared by all processes that serve one page; it signs.
        accepted: keys whose signatures hold as well, while keys are changed.
    """

    def __init__(self, secret_key: str, accepted: Iterable[str] = ()) -> None:
        self._keys = [
            hmac.digest(key.encode(), b"forms", "sha256") for key in (secret_key, *accepted)
        ]

    def token(self, owner: str) -> str:
        """What a form of `owner` carries, 43 characters: who cannot read it cannot send one.

        Args:
            owner: a session's id, or before there is one, a random value in a cookie.
        """
        return base64url.encode(_mac(self._keys[0], b"token", owner.encode()))

    def is_token_of(self, owner: str, token: str) -> bool:
        sent, by = token.encode(errors="replace"), owner.encode(errors="replace")
        return any(
            hmac.compare_digest(sent, base64url.encode(_mac(key, b"token", by)).encode())
            for key in self._keys
        )

    def seal(self, text: str) -> str:
        """`text`, which others may read and not change."""
        content = text.encode()
        return base64url.encode(_mac(self._keys[0], b"seal", content) + content)

    def unseal(self, sealed: str) -> str | None:
        """The text that was sealed; None where it was not, or not by us."""
        try:
            raw = base64url.decode(sealed)
        except ValueError:
            return None
        mac, content = raw[:32], raw[32:]
        is_ours = any(hmac.compare_digest(mac, _mac(key, b"seal", content)) for key in self._keys)
        return content.decode() if is_ours else None


def _mac(key: bytes, use: bytes, content: bytes) -> bytes:
    return hmac.digest(key, use + b"\0" + content, "sha256")

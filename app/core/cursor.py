"""Cursors: where a page of a list ended."""

import hmac
import json
from collections.abc import Iterable
from typing import NamedTuple

from app.core import base64url
from app.core.exceptions import ValidationException

_MAC_LENGTH = 16


class Position(NamedTuple):
    """A row's place in an order: its value there, as text, and its id, which breaks ties."""

    value: str
    id: int


class CursorSigner:
    """Makes cursors, and takes none that it did not make for the same list.

    A cursor is opaque, so that its inside may change, and signed, so that nothing but a position
    ever gets to the database. The list is no part of it: it goes into the signature alone.

    Args:
        secret_key: shared by all processes that serve one API; it signs.
        accepted: keys whose cursors are taken as well, while keys are changed.
    """

    def __init__(self, secret_key: str, accepted: Iterable[str] = ()) -> None:
        self._keys = [
            hmac.digest(key.encode(), b"cursor", "sha256") for key in (secret_key, *accepted)
        ]

    def sign(self, position: Position, listing: str) -> str:
        """A cursor to go on behind `position`.

        Args:
            position: of the page's last row.
            listing: which list it is: its filters and its order.
        """
        payload = json.dumps(position, separators=(",", ":")).encode()
        return base64url.encode(_mac(self._keys[0], payload, listing) + payload)

    def read(self, cursor: str, listing: str) -> Position:
        """The position that `cursor` was made of.

        Raises:
            ValidationException: it was changed, or made for another list.
        """
        try:
            raw = base64url.decode(cursor)
        except ValueError:
            raise _refusal() from None
        mac, payload = raw[:_MAC_LENGTH], raw[_MAC_LENGTH:]
        is_ours = any(hmac.compare_digest(mac, _mac(key, payload, listing)) for key in self._keys)
        if not is_ours:
            raise _refusal()
        return Position(*json.loads(payload))


def _mac(key: bytes, payload: bytes, listing: str) -> bytes:
    # JSON holds no NUL, so that no listing and payload run into each other.
    return hmac.digest(key, listing.encode() + b"\0" + payload, "sha256")[:_MAC_LENGTH]


def _refusal() -> ValidationException:
    message = "not a cursor of a list with these filters and this order"
    return ValidationException(details=[{"field": "cursor", "message": message}])

"""Signed cursors, form tokens and notices, and keyed fingerprints of request bodies.

Each is signed with HMAC-SHA256 by itsdangerous, with a salt for each purpose. All processes of one
API share the secret key; `accepted` are other keys that are valid too, while keys are rotated.
"""

import hmac
from collections.abc import Iterable
from typing import Any, NamedTuple

import itsdangerous
from itsdangerous.encoding import base64_decode, base64_encode, want_bytes

from app.core.exceptions import ValidationException

_NOT_A_CURSOR = {
    "field": "cursor",
    "message": "not a cursor of a list with these filters and this order",
    "code": "malformed",
}


class Position(NamedTuple):
    """A row's place in an order: its value there, as text, or None for a null, and its id, which
    breaks ties."""

    value: str | None
    id: int


class _Signer(itsdangerous.Signer):
    default_digest_method = "sha256"
    default_key_derivation = "hmac"

    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        """Whether it is valid and in its one spelling: the decoder skips unknown characters, and
        ignores padding and the bits left over at the end.

        Raises:
            UnicodeEncodeError: one holds a lone surrogate.
        """
        is_valid = super().verify_signature(value, sig)
        return is_valid and base64_encode(base64_decode(sig)) == want_bytes(sig)


def _keys(secret_key: str, accepted: Iterable[str]) -> list[str]:
    """The keys in itsdangerous's order: the last one signs."""
    return [*accepted, secret_key]


def _serializer(keys: list[str]) -> itsdangerous.URLSafeSerializer:
    # ASCII alone, since lone surrogates cannot be encoded.
    options = {"ensure_ascii": True}
    return itsdangerous.URLSafeSerializer(keys, signer=_Signer, serializer_kwargs=options)


class CursorSigner:
    """Signs and reads cursors: opaque, and valid for the list alone that they were made for."""

    def __init__(self, secret_key: str, accepted: Iterable[str] = ()) -> None:
        self._cursors = _serializer(_keys(secret_key, accepted))

    def sign(self, position: Position, listing: str) -> str:
        """The cursor of the page behind `position`.

        Args:
            position: of the page's last row.
            listing: filters and order of the list. It is part of the salt, not of the cursor.
        """
        return self._cursors.dumps(position, salt=f"cursor {listing}")

    def read(self, cursor: str | None, listing: str) -> Position | None:
        """The position in `cursor`; None without one, on the first page.

        Raises:
            ValidationException: it was changed, or made for another list.
        """
        if cursor is None:
            return None
        try:
            return Position(*self._cursors.loads(cursor, salt=f"cursor {listing}"))
        except (itsdangerous.BadData, UnicodeEncodeError):
            raise ValidationException(details=[_NOT_A_CURSOR]) from None


class FormSigner:
    """Signs the tokens of forms, against forged requests (CSRF), and values in a cookie."""

    def __init__(self, secret_key: str, accepted: Iterable[str] = ()) -> None:
        keys = _keys(secret_key, accepted)
        self._tokens = _Signer(keys, salt="form token")
        self._sealed = _serializer(keys)

    def token(self, owner: str) -> str:
        """The token of `owner`'s forms, 43 characters.

        Args:
            owner: a session's id, or before there is one, a random value in a cookie.
        """
        return self._tokens.get_signature(owner).decode()

    def is_token_of(self, owner: str, token: str) -> bool:
        try:
            return self._tokens.verify_signature(owner, token)
        except UnicodeEncodeError:
            return False

    def seal(self, value: Any) -> str:
        """A value of JSON, signed: readable by its holder, who cannot change it."""
        return self._sealed.dumps(value, salt="sealed")

    def unseal(self, sealed: str) -> Any:
        """The value that was sealed; None where the signature is not valid."""
        try:
            return self._sealed.loads(sealed, salt="sealed")
        except (itsdangerous.BadData, UnicodeEncodeError):
            return None


class BodyFingerprints:
    """HMAC-SHA256 of bodies, 32 bytes: tells whether two requests have the same body.

    A plain hash of a body with a password would let a reader of the table guess the password by
    the billion. Plain `hmac` with itsdangerous's derived keys: its signers verify one signature,
    while here one fingerprint by each key is looked up in the database.
    """

    def __init__(self, secret_key: str, accepted: Iterable[str] = ()) -> None:
        derive = _Signer(secret_key, salt="idempotency").derive_key
        self._keys = [derive(key) for key in (secret_key, *accepted)]

    def of(self, body: bytes) -> list[bytes]:
        """One fingerprint by each key: the first is stored, any is recognised."""
        return [hmac.digest(key, body, "sha256") for key in self._keys]

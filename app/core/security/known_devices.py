"""`KnownDevices`: tokens that prove that a client has logged in to an account before (ADR 27)."""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from uuid import UUID, uuid4

from app.core.exceptions import UnauthorizedException
from app.core.security.tokens import AccessToken, TokenSigner

MAX_ACCOUNTS = 3
"""Number of accounts that a browser is a known device of at once."""
SEPARATOR = "~"
"""Between the tokens in one cookie: a character that cookies may have and tokens do not."""


class KnownDevices:
    """Issues and verifies device tokens.

    A token names an account and a random device, expires, and is bound to the account's password:
    another password voids it. It allows nothing but guesses in a budget of its own.

    Args:
        signer: signs the tokens.
    """

    def __init__(self, signer: TokenSigner) -> None:
        self._signer = signer

    def token(self, user_id: int, hashed_password: str) -> str:
        """A token for the client of a login that succeeded. Each login gets a new device: a thief
        of an earlier token does not share the owner's budget."""
        return self._signer.sign(user_id, uuid4(), "device", _binding(hashed_password))

    def device_of(self, proofs: Iterable[str], user_id: int, hashed_password: str) -> UUID | None:
        """The device that one of these tokens proves for this account; None if none does."""
        binding = _binding(hashed_password)
        for token in self._authentic(proofs):
            if token.user_id == user_id and hmac.compare_digest(token.binding, binding):
                return token.session_id
        return None

    def joined(self, token: str, earlier: Iterable[str]) -> str:
        """The value of a cookie with a new token, and with the earlier ones of other accounts."""
        user_id = self._signer.read(token, "device").user_id
        others = [one for one in earlier if self._is_of_another(one, user_id)]
        return SEPARATOR.join([token, *others[: MAX_ACCOUNTS - 1]])

    def _is_of_another(self, proof: str, user_id: int) -> bool:
        return any(token.user_id != user_id for token in self._authentic([proof]))

    def _authentic(self, proofs: Iterable[str]) -> Iterable[AccessToken]:
        for proof in [*proofs][:MAX_ACCOUNTS]:
            try:
                yield self._signer.read(proof, "device")
            except UnauthorizedException:
                continue


def _binding(hashed_password: str) -> str:
    return sha256(f"device\n{hashed_password}".encode()).hexdigest()[:32]

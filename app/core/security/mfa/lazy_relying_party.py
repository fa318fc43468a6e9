"""`RelyingPartyLoader`: loads `relying_party` at the first ceremony of a passkey."""

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from app.core.security.mfa.challenges import ChallengeSigner

if TYPE_CHECKING:
    from app.core.security.mfa.relying_party import RelyingParty


class RelyingPartyLoader:
    """The library takes 5 MiB of each process and 110 ms, which a service whose users have no
    passkeys does not pay. It is imported in a thread: other requests go on.

    Args:
        rp_id: for these see `RelyingParty`.
        name: of the service.
        origins: of the pages that may use passkeys.
        challenges: issues and verifies challenges.
    """

    def __init__(
        self, rp_id: str, name: str, origins: Sequence[str], challenges: ChallengeSigner
    ) -> None:
        self._arguments = rp_id, name, origins, challenges
        self._loaded: RelyingParty | None = None

    async def load(self) -> "RelyingParty":
        if self._loaded is None:
            name = "app.core.security.mfa.relying_party"
            module = await asyncio.to_thread(import_module, name)
            self._loaded = module.RelyingParty(*self._arguments)
        return self._loaded

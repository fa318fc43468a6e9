"""`PasswordGuesses`: verifies passwords, within the budgets of wrong ones (ADR 27)."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import structlog

from app.core.config import LimiterSettings
from app.core.device import Device
from app.core.limiter import HitCounter, parsed
from app.core.limiter.hit_counter import Window
from app.core.security import PasswordHasher
from app.core.security.known_devices import KnownDevices
from app.core.text.normalisation import normalise_login
from app.repositories.user.repository import Credentials
from app.schemas.access.session import Principal

log = structlog.get_logger("app.security")

LOGIN, ACCOUNT = "login", "account"
"""Scopes of the limits: of a login name or a device, which is reported, and of an account."""


@dataclass(frozen=True, slots=True)
class _Guess:
    """A guess that was counted.

    Attributes:
        hits: windows, scopes and keys it was counted in.
        is_void: whether it is answered as a wrong one, whatever it is.
    """

    hits: Sequence[tuple[Window, str, str]] = ()
    is_void: bool = False


class PasswordGuesses:
    """Verifies passwords. Each is counted before it is verified, and taken back if it was right:
    only wrong ones use a budget up, of `LIMITER_LOGIN` each.

    A device that has logged in to the account before has a budget of its own, so that strangers
    cannot use up its owner's. All strangers together have one budget for an account, whether they
    name it by email or username. It is not reported: that a username is refused after guesses by
    an email would tell whose email it is. Reported is that of the name they sent.

    Args:
        passwords: verifies passwords.
        hits: counts guesses.
        devices: knows devices.
        settings: the limit, and whether there are limits.
    """

    def __init__(
        self,
        passwords: PasswordHasher,
        hits: HitCounter,
        devices: KnownDevices,
        settings: LimiterSettings,
    ) -> None:
        self._passwords = passwords
        self._hits = hits
        self._devices = devices
        self._is_enabled = settings.enabled
        self._limit = parsed(settings.login)

    async def login(
        self, name: str, password: str, found: Credentials | None, device: Device
    ) -> tuple[bool, str | None]:
        """Verify the password of a login. An account that is unknown or disabled costs the same:
        one hash, and two hits.

        Args:
            name: the email or username that was sent.
            found: whose it is.

        Returns:
            Whether it is the password of an active user, and the hash to store instead, if any.

        Raises:
            RateLimitExceeded: too many wrong ones, from this device or for this name.
            ServiceUnavailableException: too many hashes are waiting already.
        """
        guess = await self._count(name, found, device)
        hashed = found.hashed_password if found else None
        is_right, renewed = await self._passwords.verify(password, hashed)
        if found is None or not found.is_active or not is_right or guess.is_void:
            return False, None
        await self._take_back(guess)
        return True, renewed

    async def of_caller(
        self, caller: Principal, password: str, hashed: str | None, device: Device
    ) -> bool:
        """Verify the password of a user who is logged in. Where their device is not known, the
        session has a budget of its own.

        Raises:
            RateLimitExceeded: too many wrong ones, from this device or in this session.
            ServiceUnavailableException: too many hashes are waiting already.
        """
        key = self._key_of(caller.user_id, hashed or "", device)
        key = key or f"session:{caller.session_id.hex}"
        guess = _Guess([await self._hit(key)] if self._is_enabled else [])
        is_right, _ = await self._passwords.verify(password, hashed)
        if is_right:
            await self._take_back(guess)
        return is_right

    async def _count(self, name: str, found: Credentials | None, device: Device) -> _Guess:
        if not self._is_enabled:
            return _Guess()
        known = found and self._key_of(found.id, found.hashed_password, device)
        if known:
            return _Guess([await self._hit(known)])
        # Hashed, to keep emails out of Redis.
        named = sha256(normalise_login(name).encode(errors="replace")).hexdigest()[:32]
        of_name = await self._hit(f"account:{named}")
        of_account = f"user:{found.id}" if found else f"name:{named}"
        window = await self._hits.hit(self._limit, ACCOUNT, of_account)
        if window.is_exceeded:
            log.warning("guesses_used_up", user=found and found.id, address=device.address)
        return _Guess([of_name, (window, ACCOUNT, of_account)], is_void=window.is_exceeded)

    async def _hit(self, key: str) -> tuple[Window, str, str]:
        return await self._hits.hit_or_raise(self._limit, LOGIN, key), LOGIN, key

    async def _take_back(self, guess: _Guess) -> None:
        for window, scope, key in guess.hits:
            await self._hits.give_back(window, scope, key)

    def _key_of(self, user_id: int, hashed: str, device: Device) -> str | None:
        """Key of the user's known device; None if it is none."""
        known = self._devices.device_of(device.proofs, user_id, hashed)
        return None if known is None else f"device:{user_id}:{known.hex}"

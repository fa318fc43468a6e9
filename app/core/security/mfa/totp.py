"""Codes of authenticator apps (TOTP, RFC 6238): six digits, 30 seconds, SHA-1, as all apps do."""

import re
import time

import pyotp
from pyotp.exceptions import OTPVerificationError

DRIFT = 1
"""Steps by which the clocks of app and server may differ, in both directions."""


def new_secret() -> str:
    """160 random bits, in Base32."""
    return pyotp.random_base32()


def provisioning_uri(secret: str, account: str, issuer: str) -> str:
    """What the QR code for an app contains."""
    return pyotp.TOTP(secret, name=account, issuer=issuer).provisioning_uri()


def matching_step(secret: str, code: str, now: float | None = None) -> int | None:
    """The time step of `code`; None where it is not valid now.

    Args:
        secret: in Base32.
        code: as typed; spaces are ignored.
        now: Unix time; default: the clock's.
    """
    digits = re.sub(r"\s", "", code)
    if re.fullmatch(r"[0-9]{6}", digits) is None:
        return None
    moment = time.time() if now is None else now
    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(
            digits, for_time=moment, valid_window=DRIFT
        )
    except OTPVerificationError:
        return None

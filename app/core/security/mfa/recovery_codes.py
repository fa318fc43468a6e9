"""Recovery codes: random, for one use each, stored as hashes."""

import base64
import re
import secrets
from hashlib import sha256

COUNT = 10
_BYTES = 10
_CODE = re.compile(r"[A-Z2-7]{16}")
_LOOK_ALIKES = str.maketrans("018", "OIB")
"""Digits that Base32 does not have, and that are easily read for these letters."""


def new_recovery_codes() -> list[str]:
    """Ten codes of 80 bits, such as `ABCD-EFGH-IJKL-MNOP`."""
    codes = [base64.b32encode(secrets.token_bytes(_BYTES)).decode() for _ in range(COUNT)]
    return ["-".join(re.findall("....", code)) for code in codes]


def recovery_code_hash(user_id: int, code: str) -> bytes | None:
    """SHA-256 of a user's code, as typed; None where it cannot be one.

    The codes are random: a slow hash would add nothing. With the user's id, equal codes of two
    users, or a guess for all users at once, have nothing in common.
    """
    plain = re.sub(r"[\s-]", "", code).upper().translate(_LOOK_ALIKES)
    if _CODE.fullmatch(plain) is None:
        return None
    return sha256(f"{user_id}:{plain}".encode()).digest()

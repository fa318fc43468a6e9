"""Validation of imported password hashes: format and cost."""

import re

MAX_ARGON2_MEMORY = 128 * 1024
"""In KiB. The defaults of common libraries need 100 MiB at most."""
MAX_ARGON2_WORK = 512 * 1024
"""KiB × passes: half a second to a second, once, at the first login."""
MAX_ARGON2_LANES = 16
MAX_BCRYPT_COST = 14
"""About a second; each further step doubles it, up to days for the format's maximum."""

# Base64 without padding, of 8 to 64 bytes of salt and 16 to 64 of hash.
_ARGON2 = re.compile(
    r"\$argon2id\$v=19\$m=([1-9]\d{0,6}),t=([1-9]\d{0,3}),p=([1-9]\d?)"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
)
# The unused bits in the last characters of salt and hash are zero.
_BCRYPT = re.compile(
    r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]"
)


def fault_of_hash(hashed: str) -> str | None:
    """The reason to refuse `hashed`; None if it may be stored.

    A hash contains its own cost parameters. Without bounds, a crafted one would take gigabytes or
    hours at each login attempt.
    """
    if argon2 := _ARGON2.fullmatch(hashed):
        memory, passes, lanes = (int(argon2[n]) for n in (1, 2, 3))
        # Base64 without padding never has a single character left over.
        is_whole = all(len(argon2[n]) % 4 != 1 for n in (4, 5))
        is_bounded = (
            8 * lanes <= memory <= MAX_ARGON2_MEMORY
            and memory * passes <= MAX_ARGON2_WORK
            and lanes <= MAX_ARGON2_LANES
        )
    elif bcrypt := _BCRYPT.fullmatch(hashed):
        is_whole, is_bounded = True, 4 <= int(bcrypt[1]) <= MAX_BCRYPT_COST
    else:
        is_whole = is_bounded = False
    if not is_whole:
        return "not a well-formed hash of argon2id ($argon2id$v=19$…) or bcrypt ($2b$…)"
    return None if is_bounded else "has cost parameters that are too high or too low"

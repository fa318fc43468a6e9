"""Names of fields whose values are secrets."""

import re

_SECRET = re.compile(r"password|passwd|secret|token|hash|credential|cipher|code|private|sealed")


def is_secret_name(name: str) -> bool:
    """Whether a field with this name may have a secret, which no record or export shows."""
    return _SECRET.search(name.lower()) is not None

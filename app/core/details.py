"""Details of errors: the field, the message and a stable code for programs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

Detail = Mapping[str, Any]
"""One reason: `field`, `message`, `code`, and further keys such as `index`."""

DetailCode = Literal[
    "missing",
    "unknown",
    "repeated",
    "wrong_type",
    "malformed",
    "too_short",
    "too_long",
    "out_of_range",
    "not_a_choice",
    "taken",
    "changed",
    "not_found",
    "weak_password",
    "wrong_password",
    "token_invalid",
    "wrong_code",
    "not_allowed",
    "invalid",
]
"""Part of the API: clients compare codes, while messages may change. `invalid` stands for a reason
without a code of its own."""

_CODES: dict[str, DetailCode] = {
    "blank": "too_short",
    "characters": "malformed",
    "email": "malformed",
    "encoding": "malformed",
    "enum": "not_a_choice",
    "extra_forbidden": "unknown",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "hash": "malformed",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "literal_error": "not_a_choice",
    "missing": "missing",
    "name": "malformed",
    "repeated": "repeated",
    "string_pattern_mismatch": "malformed",
    "then": "out_of_range",
    "timezone_aware": "malformed",
    "unknown": "unknown",
    "username": "malformed",
    "value_error": "malformed",
}
_ENDINGS: dict[str, DetailCode] = {
    "_parsing": "malformed",
    "_type": "wrong_type",
    "too_long": "too_long",
    "too_short": "too_short",
}
_FIELD_NAME = re.compile(r"[A-Za-z_]\w{0,31}|\d{1,4}")


def code_of(kind: str) -> DetailCode:
    """The code of an error by its type: pydantic's, or one of our own validators'."""
    if code := _CODES.get(kind):
        return code
    return next((code for end, code in _ENDINGS.items() if kind.endswith(end)), "invalid")


def violations(errors: Iterable[Mapping[str, Any]]) -> list[Detail]:
    """Pydantic's errors as details: the field's path and the reason, never the value."""
    return [
        {
            "field": _field(error["loc"]),
            "message": error["msg"],
            "code": code_of(error["type"]),
        }
        for error in errors
    ]


def _field(location: Sequence[str | int]) -> str:
    """`email` for what FastAPI calls `("body", "email")`; `body` where all of it is wrong.

    A part may be a name that the caller made up, or a position in what could not be parsed: one
    that looks like no field's name is left out. The names of headers are ours.
    """
    source, *parts = map(str, location)
    if source == "header":
        return parts[0]
    return ".".join(part for part in parts if _FIELD_NAME.fullmatch(part)) or source

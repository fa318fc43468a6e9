"""Types of the fields of a new resource: column, annotations, examples and default of each."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
TYPES = (
    "str(length), text, int, decimal(digits,places), bool, date, datetime, uuid, enum(a,b), json, "
    "ref(resource), user"
)
MAX_TEXT = 10_000
"""Characters of a `text`."""


class FieldError(ValueError):
    """A name or a field is not possible; the message says why."""


@dataclass(frozen=True, slots=True)
class FieldType:
    """How values of a type are stored and validated.

    Attributes:
        column: type of the column, as SQLAlchemy spells it.
        python: annotation of the model's attribute, and of responses.
        schema: annotation of requests.
        examples: two values in their order, as in JSON.
        bad: values that are refused.
        parse: reads a default; it raises ValueError, TypeError or ArithmeticError.
        filters: `equal`, `range` or none.
    """

    column: str
    python: str
    schema: str
    examples: tuple[Any, Any]
    bad: tuple[Any, ...]
    parse: Callable[[str], Any] | None = None
    filters: str = ""
    is_sorted: bool = False
    is_searched: bool = False

    @property
    def is_time(self) -> bool:
        return self.python in {"date", "datetime"}


def _numbers(name: str, args: Sequence[str], *bounds: tuple[int, int]) -> list[int]:
    """The arguments as numbers, each within its bounds."""
    if len(args) == len(bounds) and all(arg.isascii() and arg.isdigit() for arg in args):
        numbers = [int(arg) for arg in args]
        if all(low <= number <= high for number, (low, high) in zip(numbers, bounds, strict=True)):
            return numbers
    words = ", ".join(f"{low} to {high}" for low, high in bounds)
    raise FieldError(f"{name}: the type takes {len(bounds)} number(s), of {words}")


def _plain(kind: FieldType) -> Callable[[str, Sequence[str]], FieldType]:
    def of(name: str, args: Sequence[str]) -> FieldType:
        if args:
            raise FieldError(f"{name}: the type takes nothing in brackets")
        return kind

    return of


def _str(name: str, args: Sequence[str]) -> FieldType:
    (length,) = _numbers(name, args, (1, 10_000))

    def parse(text: str) -> str:
        if not 1 <= len(text) <= length:
            raise ValueError(text)
        return text

    words = name.replace("_", " ").capitalize()
    return FieldType(
        column=f"String({length})",
        python="str",
        schema=f"Annotated[str, StringConstraints(strip_whitespace=True, min_length=1,"
        f" max_length={length}), AfterValidator(storable)]",
        examples=(f"{words} one"[-length:], f"{words} two"[-length:]),
        bad=("", " ", "\0", "x" * (length + 1), 1),
        parse=parse,
        is_sorted=True,
        is_searched=True,
    )


def _decimal(name: str, args: Sequence[str]) -> FieldType:
    digits, places = _numbers(name, args, (1, 1000), (0, 1000))
    if places > digits:
        raise FieldError(f"{name}: a decimal has no more places than digits")

    def parse(text: str) -> str:
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise ValueError(text) from None
        return str(value)

    one = "1" if digits > places else f"0.{'1'.zfill(places)}"
    two = "2" if digits > places else f"0.{'2'.zfill(places)}"
    examples = (f"{Decimal(one):.{places}f}", f"{Decimal(two):.{places}f}")
    return FieldType(
        column=f"Numeric({digits}, {places})",
        python="Decimal",
        schema=f"Annotated[Decimal, Field(max_digits={digits}, decimal_places={places})]",
        examples=examples,
        bad=("x", "NaN", "1" * (digits + 1)),
        parse=parse,
        filters="range",
        is_sorted=True,
    )


def _enum(name: str, args: Sequence[str]) -> FieldType:
    if not args or len(set(args)) != len(args) or not all(map(NAME.fullmatch, args)):
        raise FieldError(f"{name}: write {name}:enum(first,second), each value once, as a name")

    def parse(text: str) -> str:
        if text not in args:
            raise ValueError(text)
        return text

    values = ", ".join(json.dumps(arg) for arg in args)
    first, second = sorted((args[0], args[-1]))
    return FieldType(
        column=f"String({max(map(len, args))})",
        python=f"Literal[{values}]",
        schema=f"Literal[{values}]",
        examples=(first, second),
        bad=("", "no such value", 1),
        parse=parse,
        filters="equal",
        is_sorted=True,
    )


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[text] if text in {"true", "false"} else _raise(text)


def _raise(text: str) -> Any:
    raise ValueError(text)


def _int(text: str) -> int:
    value = int(text)
    return value if -(2**63) <= value < 2**63 else _raise(text)


def _datetime(text: str) -> str:
    value = datetime.fromisoformat(text)
    return value.isoformat() if value.tzinfo else _raise(text)


_LATE, _LATER = "2026-11-27T06:30:00Z", "2026-11-28T06:30:00Z"
_IDS = "0b9f6c1e-8f52-4f0e-9a57-5f3f0c8b7d21", "1b9f6c1e-8f52-4f0e-9a57-5f3f0c8b7d21"
FIELD_TYPES: Mapping[str, Callable[[str, Sequence[str]], FieldType]] = {
    "str": _str,
    "decimal": _decimal,
    "enum": _enum,
    "text": _plain(
        FieldType(
            "Text",
            "str",
            f"Annotated[str, StringConstraints(strip_whitespace=True, min_length=1,"
            f" max_length={MAX_TEXT}), AfterValidator(storable)]",
            ("A longer text", "Another longer text"),
            ("", "\0", "x" * (MAX_TEXT + 1)),
            str,
            is_searched=True,
        )
    ),
    "int": _plain(
        FieldType(
            "BigInteger",
            "int",
            "BigInt",
            (1, 2),
            (False, 2**63),
            _int,
            "range",
            is_sorted=True,
        )
    ),
    "bool": _plain(
        FieldType("Boolean", "bool", "StrictBool", (False, True), ("x", 1), _bool, "equal")
    ),
    "date": _plain(
        FieldType(
            "Date",
            "date",
            "Day",
            ("2026-11-27", "2026-11-28"),
            ("x", "2026-02-30", 0),
            lambda text: date.fromisoformat(text).isoformat(),
            "range",
            is_sorted=True,
        )
    ),
    "datetime": _plain(
        FieldType(
            "DateTime(timezone=True)",
            "datetime",
            "Moment",
            (_LATE, _LATER),
            ("x", 0, "2026-11-27T06:30:00", "0001-01-01T00:00:00+14:00"),
            _datetime,
            "range",
            is_sorted=True,
        )
    ),
    "uuid": _plain(
        FieldType("Uuid", "UUID", "UUID", _IDS, ("x", 1), lambda text: str(UUID(text)), "equal")
    ),
    "json": _plain(
        FieldType(
            "JSONB",
            "dict[str, Any]",
            "JsonObject",
            ({"key": "one"}, {"key": "two"}),
            ([], "x", {"key": "\0"}),
        )
    ),
    "ref": _str,
    "user": _str,
}

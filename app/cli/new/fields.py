"""Fields of a new resource: `name:type[?][=default]`, parsed and translated to code."""

import json
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from pydantic import BaseModel

_FIELD = re.compile(
    r"(?P<name>[^:]*):(?P<type>[a-z]+)(?:\((?P<list>[^()]*)\)|:(?P<args>[^?=]*))?"
    r"(?P<optional>\?)?(?:=(?P<default>.*))?"
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_RESERVED = frozenset(
    {
        *("id", "created_at", "updated_at", "metadata", "registry", "db", "caller"),
        *("search", "sort_by", "sort_order", "filters", "params", "page", "size", "cursor"),
        *("format", "bom"),
    }
)
TYPES = (
    "str(length), text, int, decimal(digits,places), bool, date, datetime, uuid, enum(a,b), json, "
    "ref(resource), user"
)
MAX_TEXT = 10_000
"""Characters of a `text`."""


class FieldError(ValueError):
    """A name or a field is not possible; the message says why."""


@dataclass(frozen=True, slots=True)
class Kind:
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


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of the new resource.

    Attributes:
        name: of the attribute; `project_id` for `project:ref(project)`.
        default: as in JSON; None: there is none.
        target: the resource that is referred to; for `user` fields "user".
        is_owner: whether it names the user to whom a row belongs.
    """

    name: str
    kind: Kind
    is_optional: bool
    default: Any
    target: str = ""
    is_owner: bool = False

    @property
    def is_required(self) -> bool:
        return not (self.is_optional or self.default is not None or self.is_owner)

    @property
    def words(self) -> str:
        return self.name.removesuffix("_id").replace("_", " ")


def name_of(text: str, what: str) -> str:
    """`text`, where it can be a name.

    Raises:
        FieldError: it cannot.
    """
    if not _NAME.fullmatch(text):
        raise FieldError(
            f"{text!r} is no name of a {what}: use lower case letters, digits and underscores, at "
            "most 40, a letter first"
        )
    if keyword.iskeyword(text) or text in _RESERVED or hasattr(BaseModel, text):
        raise FieldError(f"{text!r} cannot be the name of a {what}: it has a meaning already")
    return text


def parse_field(text: str) -> FieldSpec:
    """A field, as it is typed.

    Raises:
        FieldError: it is misspelt, or not possible.
    """
    match = _FIELD.fullmatch(text)
    if match is None:
        raise FieldError(f"{text!r} is no field: write name:type, name:type? or name:type=default")
    name = name_of(match["name"], "field")
    arguments = match["list"] if match["list"] is not None else match["args"] or ""
    args = [part.strip() for part in arguments.split(",") if part.strip()]
    is_optional, default = bool(match["optional"]), match["default"]
    type_name = match["type"]
    if type_name not in _KINDS:
        raise FieldError(f"{name}: there is no type {type_name!r}. The types are {TYPES}")
    if type_name in {"user", "ref"}:
        return _reference(name, type_name, args, is_optional=is_optional, default=default)
    kind = _KINDS[type_name](name, args)
    return FieldSpec(name, kind, is_optional, _default(name, kind, default))


def _default(name: str, kind: Kind, text: str | None) -> Any:
    if text is None:
        return None
    if kind.parse is None:
        raise FieldError(f"{name}: a field of this type has no default")
    try:
        return kind.parse(text)
    except (ValueError, TypeError, ArithmeticError):
        raise FieldError(f"{name}: {text!r} is no value of this type") from None


def _reference(
    name: str, type_name: str, args: Sequence[str], *, is_optional: bool, default: str | None
) -> FieldSpec:
    if default is not None:
        raise FieldError(f"{name}: a reference has no default")
    is_owner = type_name == "user"
    if is_owner and (args or is_optional):
        raise FieldError(f"{name}: write {name}:user; every row has an owner")
    if not is_owner and len(args) != 1:
        raise FieldError(f"{name}: write {name}:ref(resource)")
    target = "user" if is_owner else name_of(args[0], "resource")
    kind = Kind(
        "BigInteger", "int", "RowId", (1, 2), (0, True, "x"), filters="equal", is_sorted=False
    )
    return FieldSpec(f"{name}_id", kind, is_optional, None, target, is_owner)


def _numbers(name: str, args: Sequence[str], *bounds: tuple[int, int]) -> list[int]:
    """The arguments as numbers, each within its bounds."""
    if len(args) == len(bounds) and all(arg.isascii() and arg.isdigit() for arg in args):
        numbers = [int(arg) for arg in args]
        if all(low <= number <= high for number, (low, high) in zip(numbers, bounds, strict=True)):
            return numbers
    words = ", ".join(f"{low} to {high}" for low, high in bounds)
    raise FieldError(f"{name}: the type takes {len(bounds)} number(s), of {words}")


def _plain(kind: Kind) -> Callable[[str, Sequence[str]], Kind]:
    def of(name: str, args: Sequence[str]) -> Kind:
        if args:
            raise FieldError(f"{name}: the type takes nothing in brackets")
        return kind

    return of


def _str(name: str, args: Sequence[str]) -> Kind:
    (length,) = _numbers(name, args, (1, 10_000))

    def parse(text: str) -> str:
        if not 1 <= len(text) <= length:
            raise ValueError(text)
        return text

    words = name.replace("_", " ").capitalize()
    return Kind(
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


def _decimal(name: str, args: Sequence[str]) -> Kind:
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
    return Kind(
        column=f"Numeric({digits}, {places})",
        python="Decimal",
        schema=f"Annotated[Decimal, Field(max_digits={digits}, decimal_places={places})]",
        examples=examples,
        bad=("x", "NaN", "1" * (digits + 1)),
        parse=parse,
        filters="range",
        is_sorted=True,
    )


def _enum(name: str, args: Sequence[str]) -> Kind:
    if not args or len(set(args)) != len(args) or not all(map(_NAME.fullmatch, args)):
        raise FieldError(f"{name}: write {name}:enum(first,second), each value once, as a name")

    def parse(text: str) -> str:
        if text not in args:
            raise ValueError(text)
        return text

    values = ", ".join(json.dumps(arg) for arg in args)
    first, second = sorted((args[0], args[-1]))
    return Kind(
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
_KINDS: Mapping[str, Callable[[str, Sequence[str]], Kind]] = {
    "str": _str,
    "decimal": _decimal,
    "enum": _enum,
    "text": _plain(
        Kind(
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
        Kind(
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
    "bool": _plain(Kind("Boolean", "bool", "StrictBool", (False, True), ("x", 1), _bool, "equal")),
    "date": _plain(
        Kind(
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
        Kind(
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
        Kind("Uuid", "UUID", "UUID", _IDS, ("x", 1), lambda text: str(UUID(text)), "equal")
    ),
    "json": _plain(
        Kind(
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

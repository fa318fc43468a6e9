"""Parser of the fields of a new resource: `name:type[?][=default]`."""

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from app.cli.new.field_types import FIELD_TYPES, NAME, TYPES, FieldError, FieldType

_FIELD = re.compile(
    r"(?P<name>[^:]*):(?P<type>[a-z]+)(?:\((?P<list>[^()]*)\)|:(?P<args>[^?=]*))?"
    r"(?P<optional>\?)?(?:=(?P<default>.*))?"
)
_RESERVED = frozenset(
    {
        *("id", "created_at", "updated_at", "metadata", "registry", "db", "caller"),
        *("search", "sort_by", "sort_order", "filters", "params", "page", "size", "cursor"),
        *("format", "bom"),
    }
)


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
    kind: FieldType
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


def checked_name(text: str, what: str) -> str:
    """`text`, where it can be a name.

    Raises:
        FieldError: it cannot.
    """
    if not NAME.fullmatch(text):
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
    name = checked_name(match["name"], "field")
    arguments = match["list"] if match["list"] is not None else match["args"] or ""
    args = [part.strip() for part in arguments.split(",") if part.strip()]
    is_optional, default = bool(match["optional"]), match["default"]
    type_name = match["type"]
    if type_name not in FIELD_TYPES:
        raise FieldError(f"{name}: there is no type {type_name!r}. The types are {TYPES}")
    if type_name in {"user", "ref"}:
        return _reference(name, type_name, args, is_optional=is_optional, default=default)
    kind = FIELD_TYPES[type_name](name, args)
    return FieldSpec(name, kind, is_optional, _default(name, kind, default))


def _default(name: str, kind: FieldType, text: str | None) -> Any:
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
    target = "user" if is_owner else checked_name(args[0], "resource")
    kind = FieldType(
        "BigInteger", "int", "RowId", (1, 2), (0, True, "x"), filters="equal", is_sorted=False
    )
    return FieldSpec(f"{name}_id", kind, is_optional, None, target, is_owner)

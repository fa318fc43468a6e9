"""Template context of a new resource: names, fields, constraints and test values."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from uuid import uuid4

from app.cli.new.field_types import FieldError
from app.cli.new.fields import FieldSpec
from app.database import Base
from app.database.schema_state import head_revision


@dataclass(frozen=True, slots=True)
class Target:
    """A resource that another refers to."""

    name: str
    model: type[Base]
    repository_module: str
    is_owned: bool

    @property
    def table(self) -> str:
        return str(self.model.__tablename__)

    @property
    def path(self) -> str:
        return self.table.replace("_", "-")


def context_of(name: str, table: str, specs: Sequence[FieldSpec]) -> dict[str, Any]:
    """The values of the templates.

    Raises:
        FieldError: the resource is not possible.
    """
    owners = [spec for spec in specs if spec.is_owner]
    if len(owners) > 1:
        raise FieldError("a row has one owner: write one field of type user")
    targets = {spec.name: _target(spec, name) for spec in specs if spec.target}
    class_name, words = _camel(name), table.replace("_", " ")
    fields = [_field(spec, class_name, targets.get(spec.name)) for spec in specs]
    _refuse_double([column for field in fields for column in field["columns"]])
    owner = next((field for field in fields if field["is_owner"]), None)
    refs = [field for field in fields if field["target"] and not field["is_owner"]]
    for field in refs:
        # Otherwise the deletion of a user would be refused for a row of another user.
        goes_with_a_user = field["target"] == "user" or (field["target_is_owned"] and not owner)
        if goes_with_a_user and not field["is_optional"]:
            raise FieldError(
                f"{field['name']}: the row it refers to is deleted with its owner, and a "
                f"{name} is not: make it optional with ?"
            )
    ref_owned = any(field["target_is_owned"] for field in refs)
    takes_caller = owner is not None
    word = name.replace("_", " ")
    a_word = f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
    head = head_revision()
    plain = [field for field in fields if not field["target"]]
    own, other = ("OWN_OR_SUPERUSER", "OWN_OR_SUPERUSER") if owner else ("LOGGED_IN", "SUPERUSER")
    create = "LOGGED_IN" if owner else "SUPERUSER"
    if owner and ref_owned:  # another user's row cannot be referred to
        create = '"401 2xx 422 422 401 401 401"'
    return {
        "name": name,
        "table": table,
        "plural": table,
        "path": table.replace("_", "-"),
        "Class": class_name,
        "Plural": _camel(table),
        "word": word,
        "words": words,
        "Words": words.capitalize(),
        "a_word": a_word,
        "A_word": a_word.capitalize(),
        "a_word_snake": a_word.replace(" ", "_"),
        "fields": fields,
        "plain": plain,
        "is_changed": any(one != two for one, two in (f["kind"].examples for f in plain)),
        "owner": owner,
        "refs": refs,
        "ref_targets": list({field["target"]: field for field in refs}.values()),
        "ref_owned": ref_owned,
        "takes_caller": takes_caller,
        "writer": "caller" if takes_caller else "_",
        "Creator": "CurrentPrincipal" if owner else "Writer",
        "PERMISSION": f"Permission.{table.upper()}",
        "reader": "caller" if owner else "_",
        "required": [field for field in fields if field["is_required"]],
        "searched": [field for field in plain if field["kind"].is_searched],
        "sorted": [
            *("id", "created_at"),
            *(field["name"] for field in plain if field["kind"].is_sorted),
        ],
        "nullable_sorted": [
            field for field in plain if field["is_optional"] and field["kind"].is_sorted
        ],
        "constraints": list(_constraints(table, fields)),
        "filter_cases": list(_filter_cases(plain)),
        "create_row": create,
        "read_row": own,
        "write_row": other,
        "down_revision": head,
        "revision": f"{int(head) + 1:0{len(head)}}" if head.isdigit() else uuid4().hex[:12],
    }


def _field(spec: FieldSpec, class_name: str, target: Target | None) -> dict[str, Any]:
    kind = spec.kind
    is_enum = kind.python.startswith("Literal")
    values = kind.python.removeprefix("Literal[").removesuffix("]").replace('"', "'")
    suffixes = ("_from", "_to") if kind.filters == "range" else ()
    return {
        "name": spec.name,
        "words": spec.words,
        "kind": kind,
        "type": class_name + _camel(spec.name),
        "filter_type": "bool" if kind.python == "bool" else class_name + _camel(spec.name),
        "columns": [spec.name, *(spec.name + suffix for suffix in suffixes)],
        "is_optional": spec.is_optional,
        "is_required": spec.is_required,
        "is_owner": spec.is_owner,
        "default": spec.default,
        "default_code": _code(kind.python, spec.default),
        "python_example": _code(kind.python, kind.examples[0]),
        "check": f"{spec.name} IN ({values})" if is_enum else None,
        "sa_column": kind.column
        if kind.column == "JSONB"
        else f"sa.{kind.column if '(' in kind.column else f'{kind.column}()'}",
        "target": spec.target,
        "target_class": _camel(spec.target),
        "table": target and target.table,
        "target_plural": target and target.table,
        "target_path": target and target.path,
        "target_is_owned": bool(target and target.is_owned),
        "repository_module": target and target.repository_module,
    }


def _target(spec: FieldSpec, name: str) -> Target:
    """What a field refers to."""
    if spec.target == name:
        raise FieldError(f"{spec.name}: a resource that refers to itself has to be written by hand")
    found = getattr(_module(f"app.models.{spec.target}"), _camel(spec.target), None)
    for place in (f"app.repositories.{spec.target}", f"app.repositories.{spec.target}.repository"):
        repository = getattr(_module(place), f"{_camel(spec.target)}Repository", None)
        if found is not None and repository is not None:
            return Target(spec.target, found, place, repository.owner is not None)
    raise FieldError(f"{spec.name}: there is no resource {spec.target!r} to refer to")


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


def _refuse_double(columns: Sequence[str]) -> None:
    double = {column for column in columns if columns.count(column) > 1}
    if double:
        raise FieldError(
            f"{min(double)!r} would be there twice, among the fields and their filters"
        )


def _constraints(table: str, fields: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for field in fields:
        if field["check"]:
            yield f'CheckConstraint("{field["check"]}", name="{field["name"]}")'
        if field["target"]:
            yield f'Index("ix_{table}_{field["name"]}", "{field["name"]}", "id")'


def _filter_cases(fields: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[int]]]:
    """For the tests: filters, and which of two rows they leave."""
    for field in fields:
        (one, two), name = field["kind"].examples, field["name"]
        if field["kind"].filters == "equal":
            found = [0, 1] if one == two else [1]
            yield f'{{"{name}": {python_of(two)}}}', found
        elif field["kind"].filters == "range":
            yield f'{{"{name}_from": {python_of(two)}}}', [1]
            yield f'{{"{name}_to": {python_of(one)}}}', [0]
        elif field["kind"].is_searched:
            yield f'{{"search": {python_of(two.upper())}}}', [1]


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def python_of(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


def bad_value(value: Any) -> str:
    """A value of the tests, where a long text is shown by its length."""
    if isinstance(value, str) and len(value) > 1 and set(value) == {"x"}:
        return f'"x" * {len(value)}'
    return python_of(value)


def _code(python: str, value: Any) -> str:
    """An expression of a value of this type."""
    parsed = {
        "date": "date.fromisoformat({})",
        "datetime": "datetime.fromisoformat({})",
        "Decimal": "Decimal({})",
        "UUID": "UUID({})",
    }
    return parsed.get(python, "{}").format(python_of(value))

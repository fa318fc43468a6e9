"""What an audit event stores of values: changed fields only, without secrets."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretBytes, SecretStr

from app.core.security.secret_names import is_secret_name
from app.schemas.audit import Facts, Target

REDACTED = "[redacted]"
MAX_TEXT = 1000
"""Characters of a text that are stored."""
MAX_ITEMS = 100
"""Items of a list or object that are stored."""
_WORD = re.compile(r"(?<!^)(?=[A-Z])")
_UNTOLD = frozenset({"created_at", "updated_at"})


def state_of(row: Any) -> Facts:
    """The columns of an ORM object, without the times that every change has."""
    return {
        column.key: getattr(row, column.key)
        for column in row.__mapper__.column_attrs
        if column.key not in _UNTOLD
    }


def target_of(row: Any) -> Target:
    """`user:5` of a `User` with that id, `line_item:5` of a `LineItem`."""
    return Target(_WORD.sub("_", type(row).__name__).lower(), row.id)


def changes(before: Facts | None, after: Facts | None) -> tuple[Facts | None, Facts | None]:
    """What is stored: of two states the fields that differ, of one all that have a value."""
    if before is not None and after is not None:
        names = [name for name in after if name not in before or before[name] != after[name]]
        before = {name: before.get(name) for name in names}
        after = {name: after[name] for name in names}
        return redacted(before), redacted(after)
    return _present(before), _present(after)


def _present(facts: Facts | None) -> Facts | None:
    if facts is None:
        return None
    return redacted({name: value for name, value in facts.items() if value is not None})


def redacted(facts: Mapping[str, Any]) -> Facts:
    """The facts as JSON stores them, with the values of secrets replaced."""
    return {
        name: REDACTED if value is not None and is_secret_name(name) else _stored(value)
        for name, value in list(facts.items())[:MAX_ITEMS]
    }


def _stored(value: Any) -> Any:
    if isinstance(value, SecretStr | SecretBytes | bytes):
        return REDACTED
    if isinstance(value, str):
        return storable(value, MAX_TEXT)
    if isinstance(value, Mapping):
        return redacted({str(name): part for name, part in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return [_stored(part) for part in list(value)[:MAX_ITEMS]]
    return value


def storable(text: str | None, length: int) -> str | None:
    """`text` as PostgreSQL can store it, at most `length` characters of it."""
    if text is None:
        return None
    return text[:length].replace("\0", "\ufffd").encode(errors="replace").decode()

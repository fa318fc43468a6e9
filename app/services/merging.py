"""Merging of a form's changes with those that others have made since it was shown."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from app.core.exceptions import ChangedMeanwhileException
from app.schemas.audit import Facts

NOTHING: Mapping[str, Any] = MappingProxyType({})
"""What a caller knew who overwrites whatever is there."""


def merged(changes: Facts, known: Mapping[str, Any], now: Mapping[str, Any]) -> Facts:
    """What to change, so that no change of another user is undone unseen.

    A list gets what was added to it, and loses what was removed. Any other field must have the
    value that the caller knew, or already the one that they want.

    Args:
        changes: new values by field.
        known: values as the caller knew them, of the fields to compare.
        now: values of the row, which is locked.

    Raises:
        ChangedMeanwhileException: others have changed some of the fields to other values.
    """
    compared = changes.keys() & known.keys()
    lists = {field for field in compared if isinstance(known[field], list)}
    conflicts = [
        field
        for field in changes
        if field in compared - lists and now[field] not in (known[field], changes[field])
    ]
    if conflicts:
        raise ChangedMeanwhileException({field: now[field] for field in conflicts})
    return {
        field: _merged_list(value, known[field], now[field]) if field in lists else value
        for field, value in changes.items()
    }


def _merged_list(wanted: list[str], known: list[str], now: list[str]) -> list[str]:
    items = merged_set(wanted, known, now)
    return [item for item in dict.fromkeys([*wanted, *now]) if item in items]


def merged_set(wanted: Collection[str], known: Collection[str], now: Collection[str]) -> set[str]:
    """`now`, with what `wanted` adds to `known`, and without what it removes."""
    return (set(now) | (set(wanted) - set(known))) - (set(known) - set(wanted))

"""Validation of query parameter names: unknown and repeated parameters are errors."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params

from app.core.details import Detail, violations
from app.core.exceptions import ValidationException

MAX_PARAMETERS = 200
"""Maximum number per request; the admin pages send at most 100 ids of users."""
NAMED = 99
"""Maximum number of errors that are listed; the last detail has the number of further ones."""
_LONGEST = 32
"""Maximum length of a name for which a similar one is suggested."""


@dataclass(frozen=True, slots=True)
class QueryParameters:
    """The query parameters of a route: name → whether it may be repeated."""

    repeatable: Mapping[str, bool]

    @classmethod
    def of(cls, dependant: Dependant) -> "QueryParameters":
        """The parameters of an endpoint and its dependencies, including fields of models."""
        flat = get_flat_params(Dependant(query_params=list(_declared(dependant))))
        return cls(
            {
                field.validation_alias or field.alias: _is_list(field.field_info.annotation)
                for field in flat
            }
        )

    def faults(self, request: Request) -> list[Detail]:
        """Errors for unknown and repeated parameters of a request.

        Raises:
            ValidationException: there are more than `MAX_PARAMETERS`.
        """
        if request.scope["query_string"].count(b"&") >= MAX_PARAMETERS:
            raise ValidationException(
                details=[
                    _detail(
                        "", f"at most {MAX_PARAMETERS} query parameters are accepted", "too_long"
                    )
                ]
            )
        sent = Counter(name for name, _ in request.query_params.multi_items())
        faults = self._faults(sent)
        details = list(islice(faults, NAMED))
        if more := sum(1 for _ in faults):
            details.append(_detail("", f"{more} more query parameters are not accepted", "unknown"))
        return details

    def _faults(self, sent: Mapping[str, int]) -> Iterator[Detail]:
        for name, times in sent.items():
            if name not in self.repeatable:
                yield _detail(name, f"unknown query parameter{self._hint(name)}", "unknown")
            elif times > 1 and not self.repeatable[name]:
                yield _detail(name, "should be given once", "repeated")

    def _hint(self, name: str) -> str:
        known = self.repeatable if len(name) <= _LONGEST else ()
        nearest = get_close_matches(name, known, n=1)
        return f", did you mean {nearest[0]}?" if nearest else ""


def _detail(name: str, message: str, kind: str) -> Detail:
    """An error; the field is left out if `name` does not look like a parameter's name."""
    return violations([{"loc": ("query", name), "msg": message, "type": kind}])[0]


def _declared(dependant: Dependant) -> Iterator[Any]:
    yield from dependant.query_params
    for dependency in dependant.dependencies:
        yield from _declared(dependency)


def _is_list(annotation: Any) -> bool:
    """Whether FastAPI reads all values of such a parameter instead of the last one."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType}:
        return any(map(_is_list, parts))
    if origin is Annotated:
        return _is_list(parts[0])
    kind = origin or annotation
    if not isinstance(kind, type) or issubclass(kind, str | bytes):
        return False
    return issubclass(kind, Sequence | set | frozenset)

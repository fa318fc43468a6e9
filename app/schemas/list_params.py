"""`ListParams`: filters, search and order of a list, declared once as fields."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from operator import eq
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy import literal_column

from app.core.text.normalisation import normalise_search

SortOrder = Literal["desc", "asc"]
ExportFormat = Literal["csv", "ndjson"]
_NO_FILTERS = frozenset({"search", "sort_by", "sort_order"})


def _search(value: str) -> str | None:
    """Normalise a search; a blank one is none. The framework replaces invalid UTF-8 by U+FFFD,
    which is refused."""
    if "\ufffd" in value:
        raise PydanticCustomError("encoding", "not valid UTF-8")
    try:
        normal = normalise_search(value)
    except ValueError as error:
        raise PydanticCustomError("search", "{reason}", {"reason": str(error)}) from None
    if len(normal) > MAX_SEARCH:  # a few characters become several
        raise PydanticCustomError("search", "too long", None)
    return normal or None


MAX_SEARCH = 254
Search = Annotated[str, StringConstraints(max_length=MAX_SEARCH), AfterValidator(_search)]
"""A part of the searched text; `%`, `_` and `\\` have no special meaning."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Condition of a filter: `compare(column, value)`.

    `due_from: Annotated[date | None, Filter("due", operator.ge)]` selects rows from that day on.
    """

    column: str
    compare: Callable[[Any, Any], Any] = eq


def is_present(column: Any, value: bool) -> Any:  # noqa: FBT001  # called as `eq` is
    """For a filter that is true or false: whether a column has a value."""
    return column.is_not(None) if value else column.is_(None)


CreatedWithin = Literal["today", "7d", "30d"]
_BEGIN = {
    "today": "date_trunc('day', now(), 'UTC')",
    "7d": "now() - interval '168 hours'",
    "30d": "now() - interval '720 hours'",
}


def is_within(column: Any, period: CreatedWithin) -> Any:
    """For a filter by a period up to now: since 00:00 UTC, or the last 7 or 30 times 24 hours. The
    database reads the clock, so that a statement is right however often it is run."""
    return column >= literal_column(_BEGIN[period])


def days_before(days: int) -> Any:
    """The day that many days before today, in UTC, by the database's clock."""
    return literal_column(f"CAST(now() AT TIME ZONE 'UTC' AS date) - {days}")


class ListParams(BaseModel):
    """Order of a list. A subclass adds its filters as fields, and `search` where there is one.

    A field filters the column of its name by equality, unless it has another `Filter`. None selects
    all rows. Hashable, so that statements can be cached by it.
    """

    model_config = ConfigDict(frozen=True)

    sort_by: str = "id"
    sort_order: SortOrder = Field("desc", examples=["asc"])

    def conditions(self) -> Iterator[tuple[Filter, Any]]:
        """The filters that were given, each with its value."""
        for name, condition in filters_of(type(self)).items():
            if (value := getattr(self, name)) is not None:
                yield condition, value


@cache
def filters_of(params: type[ListParams]) -> Mapping[str, Filter]:
    """The filters of a list by field, without search and order."""
    return {
        name: next((part for part in field.metadata if isinstance(part, Filter)), Filter(name))
        for name, field in params.model_fields.items()
        if name not in _NO_FILTERS
    }

"""Query parameters of the users table: filters, order and page, and URLs that contain them."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from pydantic import Field, model_validator

from app.admin.rendering import BASE
from app.core.pagination import PageParams
from app.schemas.user_list import SortBy, UserFilters, UserPage
from app.services.user import totals

USERS_PATH = f"{BASE}/users"
PAGE_SIZE = 25
"""Rows of a page."""

LARGE = 10_000
"""Users above which a worker writes an export; to stream as many takes a quarter of a second."""


class Listing(UserFilters):
    """Filters, order and page of the users table.

    A form sends fields that were left empty; they mean the same as those that are left out.
    """

    page: int = Field(1, ge=1, le=1_000_000)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, sent: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in sent.items() if value != ""}

    @property
    def filters(self) -> UserFilters:
        return UserFilters(**self.model_dump(exclude={"page"}))

    @property
    def params(self) -> PageParams:
        return PageParams(page=self.page, size=PAGE_SIZE)

    @property
    def is_filtered(self) -> bool:
        order = {"sort_by", "sort_order"}
        return bool(self.filters.model_dump(exclude=order, exclude_defaults=True))

    @property
    def query(self) -> str:
        """The query string; empty where everything is as by default."""
        state = self.model_dump(exclude_defaults=True)
        return urlencode({name: _text(value) for name, value in state.items()})

    @property
    def url(self) -> str:
        return f"{USERS_PATH}?{self.query}" if self.query else USERS_PATH

    def at(self, page: int) -> "Listing":
        return self.model_copy(update={"page": page})

    def by(self, column: SortBy) -> "Listing":
        """Sorted by a column, first page; in the other direction if sorted by it already."""
        order = "desc" if column == "created_at" else "asc"
        if column == self.sort_by:
            order = "asc" if self.sort_order == "desc" else "desc"
        return self.model_copy(update={"sort_by": column, "sort_order": order, "page": 1})

    def direction(self, column: SortBy) -> str:
        """Value of `aria-sort` for a column."""
        if column != self.sort_by:
            return "none"
        return "ascending" if self.sort_order == "asc" else "descending"

    def is_cached(self, found: UserPage) -> bool:
        """Whether the total may be `COUNT_TTL` seconds old."""
        return not self.search and found.total > totals.COUNT_LIMIT

    def is_large(self, found: UserPage) -> bool:
        """Whether a worker should export the list."""
        return found.total > LARGE

    def has_next(self, found: UserPage) -> bool:
        """Whether there is a next page: where the total is an estimate, after every full one."""
        if found.total_is_estimate:
            return len(found.items) == PAGE_SIZE
        return found.total > self.page * PAGE_SIZE


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


ListingQuery = Annotated[Listing, Query()]

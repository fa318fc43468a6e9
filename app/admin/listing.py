"""The address of the users view, which holds all of the view's state."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from pydantic import Field, model_validator

from app.admin.rendering import BASE
from app.core.pagination import PageParams
from app.schemas.user_list import SortBy, UserFilters, UserPage
from app.services.user import totals

USERS = f"{BASE}/users"
SIZE = 25
"""Rows of a page."""


class Listing(UserFilters):
    """Which users are shown, in which order, and which page of them.

    A form sends a field that is left empty; it means the same as one that is left out.
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
        return PageParams(page=self.page, size=SIZE)

    @property
    def is_filtered(self) -> bool:
        order = {"sort_by", "sort_order"}
        return bool(self.filters.model_dump(exclude=order, exclude_defaults=True))

    @property
    def query(self) -> str:
        """What is behind the `?`; empty where everything is as by default."""
        state = self.model_dump(exclude_defaults=True)
        return urlencode({name: _text(value) for name, value in state.items()})

    @property
    def address(self) -> str:
        return f"{USERS}?{self.query}" if self.query else USERS

    def at(self, page: int) -> "Listing":
        return self.model_copy(update={"page": page})

    def by(self, column: SortBy) -> "Listing":
        """Sorted by a column, from its first page; by the one that it is sorted by already, the
        other way round."""
        order = "desc" if column == "created_at" else "asc"
        if column == self.sort_by:
            order = "asc" if self.sort_order == "desc" else "desc"
        return self.model_copy(update={"sort_by": column, "sort_order": order, "page": 1})

    def direction(self, column: SortBy) -> str:
        """As `aria-sort` calls it."""
        if column != self.sort_by:
            return "none"
        return "ascending" if self.sort_order == "asc" else "descending"

    def is_remembered(self, found: UserPage) -> bool:
        """Whether the total may be `REMEMBERED` seconds old."""
        return not self.search and found.total > totals.COUNTED

    def has_next(self, found: UserPage) -> bool:
        """An estimate tells nothing about where the last page is: a full page may have a next."""
        if found.total_is_estimate:
            return len(found.items) == SIZE
        return found.total > self.page * SIZE


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


Listed = Annotated[Listing, Query()]

"""`UserListing`: query parameters of the users table."""

from typing import Annotated, Any, ClassVar, Self
from urllib.parse import parse_qs

from fastapi import Query
from pydantic import ValidationError

from app.admin.listings.base import PAGE_SIZE, Listing
from app.admin.rendering import BASE
from app.core.pagination import PageParams
from app.schemas.user_list import SortBy, UserFilters, UserPage

USERS_PATH = f"{BASE}/users"
LARGE = 10_000
"""Users above which a worker writes an export; to stream as many takes a quarter of a second."""


class UserListing(UserFilters, Listing):
    """Filters, order and page of the users table."""

    path: ClassVar[str] = USERS_PATH

    @classmethod
    def of_query(cls, query: str) -> Self | None:
        """The list of a URL's query string; None where a filter is not valid, or not any more."""
        sent = parse_qs(query)
        if not sent.keys() <= cls.model_fields.keys():
            return None
        values = {name: many if len(many) > 1 else many[0] for name, many in sent.items()}
        try:
            return cls.model_validate(values)
        except ValidationError:
            return None

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
    def cleared(self) -> Self:
        """The same order without filters."""
        return type(self)(sort_by=self.sort_by, sort_order=self.sort_order)

    def with_filters(self, **filters: Any) -> Self:
        """With these filters instead of its own of the same names, first page."""
        return self.model_copy(update={**filters, "page": 1})

    def day(self, name: str) -> str:
        """The day with which a range begins or ends, for its field; empty without a range."""
        return (self.model_dump()[name] or "")[:10]

    def moment(self, name: str) -> str:
        """The begin or end of a range where it is no whole day, which a field cannot show."""
        written = self.model_dump()[name] or ""
        return written if "T" in written else ""

    def by(self, column: SortBy) -> Self:
        """Sorted by a column, first page; in the other direction if sorted by it already."""
        order = "desc" if column in {"created_at", "updated_at"} else "asc"
        if column == self.sort_by:
            order = "asc" if self.sort_order == "desc" else "desc"
        return self.model_copy(update={"sort_by": column, "sort_order": order, "page": 1})

    def direction(self, column: SortBy) -> str:
        """Value of `aria-sort` for a column."""
        if column != self.sort_by:
            return "none"
        return "ascending" if self.sort_order == "asc" else "descending"

    def is_large(self, found: UserPage) -> bool:
        """Whether a worker should export the list."""
        return found.total > LARGE

    def has_next(self, found: UserPage) -> bool:
        """Whether there is a next page: where the total is an estimate, after every full one."""
        if found.total_is_estimate:
            return len(found.items) == PAGE_SIZE
        return found.total > self.page * PAGE_SIZE


UserListingQuery = Annotated[UserListing, Query()]

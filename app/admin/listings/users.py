"""`UserListing`: query parameters of the users table."""

from typing import Annotated, Any, ClassVar, Self
from urllib.parse import parse_qs

from fastapi import Query
from pydantic import ValidationError

from app.admin.listings.base import PAGE_SIZE, Listing
from app.admin.listings.display import DEFAULT, Columns, Density, Display
from app.admin.rendering import BASE
from app.core.pagination import PageParams
from app.schemas.list_params import filters_of
from app.schemas.user_list import SortBy, UserFilters, UserPage
from app.services.user.totals import max_offset

USERS_PATH = f"{BASE}/users"
LARGE = 10_000
"""Users above which a worker writes an export; to stream as many takes a quarter of a second."""


class UserListing(UserFilters, Listing):
    """Filters, order and page of the users table, and how it is shown.

    Attributes:
        column: columns in their order. Like density and size it is None where the URL has none,
            and the stored choice applies.
    """

    path: ClassVar[str] = USERS_PATH
    column: Columns | None = None
    density: Density | None = None

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
        return UserFilters(**self.model_dump(include=set(UserFilters.model_fields)))

    @property
    def params(self) -> PageParams:
        return PageParams(page=self.page, size=self.rows)

    @property
    def is_filtered(self) -> bool:
        order = {"sort_by", "sort_order"}
        return bool(self.filters.model_dump(exclude=order, exclude_defaults=True))

    @property
    def cleared(self) -> Self:
        """The same order without filters."""
        return self.with_filters(**dict.fromkeys((*filters_of(UserFilters), "search")))

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
            return len(found.items) == found.size
        return found.total > self.page * found.size

    def reaches(self, page: int) -> bool:
        return super().reaches(page) and (page - 1) * self.rows <= max_offset(self.sort_by)

    def display(self, stored: Display) -> Display:
        """How the table is shown: as the URL says, else as it is stored. The URL of a further page
        has the size if it is not the usual one, so that the page is the same in each browser."""
        return Display(
            columns=self.column or stored.columns,
            density=self.density or stored.density,
            size=self.size or (stored.size if self.page == 1 else PAGE_SIZE),
        )

    def displayed(self, shown: Display, stored: Display) -> Self:
        """The same list, shown like this; what is as by default is left out of the URL. With pages
        of another size, it begins at the first."""
        is_resized = shown.size != self.display(stored).size
        return self.model_copy(
            update={
                "column": None if shown.columns == DEFAULT.columns else shown.columns,
                "density": None if shown.density == DEFAULT.density else shown.density,
                "size": None if shown.size == DEFAULT.size else shown.size,
                "page": 1 if is_resized else self.page,
            }
        )

    @property
    def is_plain(self) -> bool:
        """Whether these are all users in the usual order."""
        return type(self)().is_part_of(self)

    def is_part_of(self, shown: Self) -> bool:
        """Whether this is the list that is shown, which may have further parameters of display."""
        unsaid = [name for name in ("column", "density", "size") if getattr(self, name) is None]
        return self == shown.at(1).model_copy(update=dict.fromkeys(unsaid))


UserListingQuery = Annotated[UserListing, Query()]

"""`Display`: columns, density and page size of the users table, and the cookie that stores them."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple, Self

from fastapi import Depends, Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from app.admin import cookies
from app.admin.listings.base import PAGE_SIZE, PageSize
from app.schemas.user_list import SortBy

Column = Literal[
    "username", "email", "role", "state", "verified", "mfa", "created", "seen", "updated", "id"
]
Density = Literal["comfortable", "compact"]
DENSITIES: dict[Density, str] = {"comfortable": "Comfortable", "compact": "Compact"}


class Heading(NamedTuple):
    """The heading of a column.

    Attributes:
        sort_by: the order that it sorts by; None where it does not sort.
    """

    title: str
    sort_by: SortBy | None = None


COLUMNS: dict[Column, Heading] = {
    "username": Heading("User", "username"),
    "email": Heading("Email", "email"),
    "role": Heading("Role"),
    "state": Heading("State"),
    "verified": Heading("Email verified"),
    "mfa": Heading("Second factor"),
    "created": Heading("Created", "created_at"),
    "seen": Heading("Last seen"),
    "updated": Heading("Changed", "updated_at"),
    "id": Heading("Id", "id"),
}
USERNAME: Column = "username"
"""The first column, which is always shown."""
SEPARATOR, PART = "|", "."
"""Of a cookie's parts, and of its columns; both need no quotes there."""


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _each_once(columns: Iterable[Column]) -> tuple[Column, ...]:
    return tuple(dict.fromkeys((USERNAME, *columns)))


Columns = Annotated[
    tuple[Column, ...],
    Field(max_length=2 * len(COLUMNS)),
    BeforeValidator(_listed),
    AfterValidator(_each_once),
]


class Display(BaseModel):
    """How the table is shown: which columns, in which order, how close the rows are, and how many
    are on a page."""

    model_config = ConfigDict(frozen=True)

    columns: Columns = (USERNAME, "email", "role", "state", "created")
    density: Density = "comfortable"
    size: PageSize = PAGE_SIZE

    @classmethod
    def of_cookie(cls, value: str | None) -> Self:
        """What a cookie stores; the default without one, and where it is not valid any more."""
        columns, *others = (value or "").split(SEPARATOR)
        try:
            density, size = others
            return cls.model_validate(
                {"columns": columns.split(PART), "density": density, "size": size}
            )
        except ValueError:
            return cls()

    @property
    def cookie(self) -> str:
        return SEPARATOR.join((PART.join(self.columns), self.density, str(self.size)))

    @property
    def offered(self) -> list[Column]:
        """All columns: those that are shown, in their order, then the others."""
        return list(dict.fromkeys((*self.columns, *COLUMNS)))

    def moved(self, column: Column, step: int) -> Self:
        """The same with a column one place nearer to the first, or to the last. A column that is
        there already, or is not shown, stays."""
        columns = [one for one in self.columns if one != USERNAME]
        if column not in columns:
            return self
        place = columns.index(column)
        columns.insert(max(place + step, 0), columns.pop(place))
        return self.model_copy(update={"columns": (USERNAME, *columns)})


DEFAULT = Display()


async def get_stored_display(request: Request) -> Display:
    return Display.of_cookie(cookies.read(request, "display"))


StoredDisplay = Annotated[Display, Depends(get_stored_display)]

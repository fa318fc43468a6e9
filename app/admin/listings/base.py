"""`Listing`: query parameters of a table, and URLs that contain them."""

from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlencode

from pydantic import BaseModel, BeforeValidator, Field, model_validator

PAGE_SIZE: Literal[25] = 25
"""Rows of a page, unless another size is chosen."""
MAX_PAGE = 1_000_000


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


PageSize = Annotated[Literal[25, 50, 100], BeforeValidator(_number)]


class Filtered(BaseModel):
    """Filters of a table; a subclass adds them.

    A form sends fields that were left empty; they mean the same as those that are left out.
    """

    path: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, sent: dict[str, Any]) -> dict[str, Any]:
        filled = {name: _filled(value) for name, value in sent.items()}
        return {name: value for name, value in filled.items() if value not in ("", [])}

    @property
    def query(self) -> str:
        """The query string, the page last; empty where everything is as by default."""
        state = self.model_dump(exclude_defaults=True)
        ordered = sorted(state.items(), key=lambda item: item[0] == "page")
        return urlencode([(name, text) for name, value in ordered for text in _texts(value)])

    @property
    def url(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


class Sized(Filtered):
    """Filters and page size of a table."""

    sizes: ClassVar = (25, 50, 100)
    size: PageSize | None = None

    @property
    def rows(self) -> int:
        """Rows of a page."""
        return self.size or PAGE_SIZE

    def sized(self, size: PageSize) -> Self:
        """The same table with pages of this size; the usual size is left out of the URL."""
        return self.model_copy(update={"size": None if size == PAGE_SIZE else size})


class Listing(Sized):
    """Filters, page and page size of a table."""

    page: int = Field(1, ge=1, le=MAX_PAGE)

    def at(self, page: int) -> Self:
        """The same table at another page."""
        return self.model_copy(update={"page": page})

    def sized(self, size: PageSize) -> Self:
        """The same table, at its first page."""
        return super().sized(size).at(1)

    def reaches(self, page: int) -> bool:
        """Whether a page so far from the first can be shown."""
        return page <= MAX_PAGE


def _filled(value: object) -> object:
    return [one for one in value if one != ""] if isinstance(value, list) else value


def _texts(value: object) -> list[str]:
    """The values of a parameter, which is repeated for each."""
    values = value if isinstance(value, tuple) else (value,)
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in values]

"""`Listing`: query parameters of a table, and URLs that contain them."""

from typing import Any, ClassVar, Self
from urllib.parse import urlencode

from pydantic import BaseModel, Field, model_validator

PAGE_SIZE = 25
"""Rows of a page."""


class Filtered(BaseModel):
    """Filters of a table; a subclass adds them.

    A form sends fields that were left empty; they mean the same as those that are left out.
    """

    path: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, sent: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in sent.items() if value != ""}

    @property
    def query(self) -> str:
        """The query string, the page last; empty where everything is as by default."""
        state = self.model_dump(exclude_defaults=True)
        ordered = sorted(state.items(), key=lambda item: item[0] == "page")
        return urlencode({name: _text(value) for name, value in ordered})

    @property
    def url(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


class Listing(Filtered):
    """Filters and page of a table."""

    page: int = Field(1, ge=1, le=1_000_000)

    def at(self, page: int) -> Self:
        """The same table at another page."""
        return self.model_copy(update={"page": page})


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

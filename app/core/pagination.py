"""Pages, by number and by cursor."""

from fastapi import Query
from fastapi_pagination import Page, Params
from pydantic import BaseModel

__all__ = ["CursorParams", "Page", "PageParams"]


class PageParams(Params):
    """Bounded, so that no offset is beyond what the database can count to."""

    page: int = Query(1, ge=1, le=1_000_000, description="number of the page, from 1")
    size: int = Query(50, ge=1, le=100, description="items on a page")


class CursorParams(BaseModel):
    """Where to go on, and how far."""

    cursor: str | None = Query(
        None, max_length=1024, description="`next_cursor` of the page before; left out, the first"
    )
    size: int = Query(50, ge=1, le=100, description="items on a page")

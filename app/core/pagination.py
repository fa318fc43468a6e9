"""Pages by number."""

from fastapi import Query
from fastapi_pagination import Page, Params

__all__ = ["Page", "PageParams"]


class PageParams(Params):
    """Bounded, so that no offset is beyond what the database can count to."""

    page: int = Query(1, ge=1, le=1_000_000, description="number of the page, from 1")
    size: int = Query(50, ge=1, le=100, description="items on a page")

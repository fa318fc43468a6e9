"""Pagination parameters, by page number and by cursor."""

from fastapi import Query
from fastapi_pagination import Page, Params
from pydantic import BaseModel

__all__ = ["CursorParams", "Page", "PageParams"]


class PageParams(Params):
    """Page number and size, bounded so that the offset fits the database's integer type."""

    page: int = Query(1, ge=1, le=1_000_000, description="page number, from 1")
    size: int = Query(50, ge=1, le=100, description="items per page")


class CursorParams(BaseModel):
    """Cursor and size of a page."""

    cursor: str | None = Query(
        None, max_length=1024, description="`next_cursor` of the previous page; default: first page"
    )
    size: int = Query(50, ge=1, le=100, description="items per page")

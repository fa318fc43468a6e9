"""Pages and their parameters, by page number and by cursor."""

from typing import Generic, TypeVar

import fastapi_pagination
from fastapi import Query
from fastapi_pagination import Params
from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")


class Page(fastapi_pagination.Page[Item], Generic[Item]):
    """A page by number: of models in a repository, of schemas in a response. A page of schemas is
    validated from a page of models."""

    model_config = ConfigDict(arbitrary_types_allowed=True, from_attributes=True)


class PageParams(Params):
    """Page number and size, bounded so that the offset fits the database's integer type."""

    page: int = Query(1, ge=1, le=1_000_000, description="page number, from 1")
    size: int = Query(50, ge=1, le=100, description="items per page")


Page.set_params(PageParams)


class CursorPage(BaseModel, Generic[Item]):
    """A page with the cursor of the next one: of models in a service, of schemas in a response."""

    model_config = ConfigDict(arbitrary_types_allowed=True, from_attributes=True)

    items: list[Item]
    next_cursor: str | None = Field(
        description="cursor of the next page; null on the last one",
        examples=["cFo4dX0Zk1yNQ2b8mA9rZVsiYWRhIiwxXQ"],
    )


class CursorParams(BaseModel):
    """Cursor and size of a page."""

    cursor: str | None = Query(
        None, max_length=1024, description="`next_cursor` of the previous page; default: first page"
    )
    size: int = Query(50, ge=1, le=100, description="items per page")

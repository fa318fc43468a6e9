"""Pages, by number and by cursor."""

from typing import Generic, TypeVar

import fastapi_pagination
from fastapi import Query
from fastapi_pagination import Params
from pydantic import BaseModel, ConfigDict

Item = TypeVar("Item")


class Page(fastapi_pagination.Page[Item], Generic[Item]):
    """A page by number: of models in a repository, of schemas in a response. A page of schemas is
    validated from a page of models."""

    model_config = ConfigDict(arbitrary_types_allowed=True, from_attributes=True)


class PageParams(Params):
    """Bounded, so that no offset is beyond what the database can count to."""

    page: int = Query(1, ge=1, le=1_000_000, description="number of the page, from 1")
    size: int = Query(50, ge=1, le=100, description="items on a page")


Page.set_params(PageParams)


class CursorParams(BaseModel):
    """Where to go on, and how far."""

    cursor: str | None = Query(
        None, max_length=1024, description="`next_cursor` of the page before; left out, the first"
    )
    size: int = Query(50, ge=1, le=100, description="items on a page")

"""Schemas of saved views."""

from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from app.schemas.base import FullName, RequestSchema, ResponseSchema

MAX_NAME = 60
"""Characters of a name."""


def _short(name: str) -> str:
    if len(name) > MAX_NAME:
        raise PydanticCustomError("too_long", f"should have at most {MAX_NAME} characters")
    return name


class ViewName(RequestSchema):
    """The name of a view."""

    name: Annotated[FullName, AfterValidator(_short)]


class SavedViewSchema(ResponseSchema):
    """A view. `query` is the query string of its list."""

    id: int
    name: str
    query: str

"""Lists of users on the wire: what they are filtered and ordered by, and their pages."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from app.core.normalisation import normalise_search
from app.core.pagination import Page
from app.schemas.base import ResponseSchema
from app.schemas.user import UserSchema

SortBy = Literal["created_at", "username", "email"]
SortOrder = Literal["desc", "asc"]
ExportFormat = Literal["csv", "ndjson"]

_ADA: JsonDict = {
    "id": 1,
    "email": "ada@example.com",
    "username": "ada",
    "full_name": "Ada Lovelace",
    "is_active": True,
    "is_superuser": False,
    "created_at": "2026-11-21T06:30:00.123456Z",
    "updated_at": "2026-11-21T06:30:00.123456Z",
}


def _search(value: str) -> str:
    """The framework puts U+FFFD where a query is no UTF-8: nobody searches for that."""
    if "\ufffd" in value:
        raise PydanticCustomError("encoding", "not valid UTF-8")
    try:
        return normalise_search(value)
    except ValueError as error:
        raise PydanticCustomError("search", "{reason}", {"reason": str(error)}) from None


class UserFilters(BaseModel):
    """Which users, in which order: the same for the list, its cursor and the export."""

    is_active: bool | None = Field(
        None, description="only those who may, or may not, log in", examples=[True]
    )
    is_superuser: bool | None = Field(
        None, description="only superusers, or only others", examples=[False]
    )
    search: Annotated[str, StringConstraints(max_length=254), AfterValidator(_search)] | None = (
        Field(
            None,
            description="part of the username, email or full name, in any case; "
            "%, _ and \\ mean themselves; surrounding space is ignored",
            examples=["lovelace"],
        )
    )
    sort_by: SortBy = Field(
        "created_at",
        description="usernames go in any case; ties are broken by id",
        examples=["username"],
    )
    sort_order: SortOrder = Field("desc", examples=["asc"])

    @field_validator("search")
    @classmethod
    def _blank_is_none(cls, value: str | None) -> str | None:
        return value or None


class UserPage(Page[UserSchema]):
    """A page by number."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [_ADA], "total": 41, "page": 1, "size": 50, "pages": 1}]
        }
    )

    items: list[UserSchema]  # a Sequence, as the library has it, is written down item by item
    total: int = Field(
        ge=0,
        description="exact, unless `total_is_estimate`; above 1,000, where nothing is searched "
        "for, up to 10 seconds old",
    )
    total_is_estimate: bool = Field(
        False,
        description="present, and true, where among more than 10,000 users a search finds more "
        "than some 5,000, or is for so few characters that no index helps",
        exclude_if=lambda is_estimate: not is_estimate,
    )


class UserCursorPage(ResponseSchema):
    """A page by cursor."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [_ADA], "next_cursor": "cFo4dX0Zk1yNQ2b8mA9rZVsiYWRhIiwxXQ"}]
        }
    )

    items: list[UserSchema]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last one")

"""Schemas of user lists: filters, order and pages."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from app.core.pagination import CursorPage, Page
from app.schemas.access.role import RoleName
from app.schemas.base import example_of
from app.schemas.list_params import Filter, ListParams, Search, is_present
from app.schemas.user import UserSchema

SortBy = Literal["created_at", "username", "email"]

_ADA: JsonDict = example_of(UserSchema)


def _includes(roles: Any, name: str) -> Any:
    return roles.any(name=name)


class UserFilters(ListParams):
    """Filters and order of the list, the list by cursor and the export."""

    is_active: bool | None = Field(
        None, description="only active, or only inactive, users", examples=[True]
    )
    is_superuser: bool | None = Field(
        None, description="only superusers, or only other users", examples=[False]
    )
    has_mfa: bool | None = Field(
        None, description="only users with a second factor, or only those without", examples=[False]
    )
    role: Annotated[RoleName | None, Filter("roles", _includes)] = Field(
        None, description="only users with the role of this name", examples=["support"]
    )
    email_verified: Annotated[bool | None, Filter("email_verified_at", is_present)] = Field(
        None, description="only users with, or without, a verified email", examples=[True]
    )
    search: Search | None = Field(
        None,
        description="part of the username, email or full name, case-insensitive; "
        "%, _ and \\ are literal; surrounding space is ignored; among more than 100,000 users, "
        "three letters or digits in a row are required unless many users match",
        examples=["lovelace"],
    )
    sort_by: SortBy = Field(
        "created_at",
        description="usernames are sorted case-insensitively; ties are broken by id",
        examples=["username"],
    )


class UserPage(Page[UserSchema]):
    """A numbered page of users."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [_ADA], "total": 41, "page": 1, "size": 50, "pages": 1}]
        }
    )

    items: list[UserSchema]  # pydantic serialises the library's Sequence more slowly
    total: int = Field(
        ge=0,
        description="exact and current, unless `total_is_estimate`",
    )
    total_is_estimate: bool = Field(
        False,
        description="present, and true, if there are more than 10,000 users and a search matches "
        "too many of them to count",
        exclude_if=lambda is_estimate: not is_estimate,
    )


class UserCursorPage(CursorPage[UserSchema]):
    """A page of users with the cursor of the next one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [_ADA], "next_cursor": "cFo4dX0Zk1yNQ2b8mA9rZVsiYWRhIiwxXQ"}]
        }
    )

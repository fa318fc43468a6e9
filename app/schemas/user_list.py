"""Schemas of user lists: filters, order and pages."""

import operator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from app.core.pagination import CursorPage, Page
from app.schemas.access.role import RoleName
from app.schemas.base import EndMoment, FirstMoment, RowId, example_of
from app.schemas.list_params import (
    CreatedWithin,
    Filter,
    ListParams,
    Search,
    days_before,
    is_present,
    is_within,
)
from app.schemas.user import UserSchema

SortBy = Literal["created_at", "username", "email", "id", "updated_at"]

_ADA: JsonDict = example_of(UserSchema)


MAX_ROLES = 20
"""Roles by which a list is filtered at once."""
MAX_IDS = 100
"""Ids by which a list is filtered at once: as many as a page has users at most."""


def _include_any(roles: Any, names: tuple[str, ...]) -> Any:
    return roles.any(roles.property.mapper.class_.name.in_(names))


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """In one order, so that equal filters have one statement and one cursor."""
    return tuple(sorted(set(values)))


def _listed(value: Any) -> Any:
    """A saved view, and an export that began before filters had several roles, may have one."""
    return (value,) if isinstance(value, str) else value


SeenWithin = Literal["today", "7d", "30d", "90d"]
NotSeenFor = Literal["30d", "90d", "365d", "ever"]


def _seen_within(activity: Any, period: str) -> Any:
    days = 1 if period == "today" else int(period.removesuffix("d"))
    return activity.has(activity.property.mapper.class_.seen_on > days_before(days))


def _not_seen_for(activity: Any, period: NotSeenFor) -> Any:
    """Users who were never seen have no row."""
    if period == "ever":
        return ~activity.has()
    return ~_seen_within(activity, period)


RoleNames = Annotated[
    tuple[RoleName, ...],
    Field(max_length=MAX_ROLES),
    BeforeValidator(_listed),
    AfterValidator(_each_once),
]
UserIds = Annotated[
    tuple[RowId, ...],
    Field(max_length=MAX_IDS),
    BeforeValidator(_listed),
    AfterValidator(_each_once),
]


class UserFilters(ListParams):
    """Filters and order of the list, the list by cursor and the export."""

    id: UserIds | None = Field(
        None,
        description="only the user with this id; if repeated, the users with any of these ids",
        examples=[[1]],
    )
    is_active: bool | None = Field(
        None, description="only active, or only inactive, users", examples=[True]
    )
    is_superuser: bool | None = Field(
        None, description="only superusers, or only other users", examples=[False]
    )
    has_mfa: bool | None = Field(
        None, description="only users with a second factor, or only those without", examples=[False]
    )
    role: Annotated[RoleNames | None, Filter("roles", _include_any)] = Field(
        None,
        description="only users with a role of this name; if repeated, with any of these roles",
        examples=[["support"]],
    )
    email_verified: Annotated[bool | None, Filter("email_verified_at", is_present)] = Field(
        None, description="only users with, or without, a verified email", examples=[True]
    )
    seen_within: Annotated[SeenWithin | None, Filter("activity", _seen_within)] = Field(
        None,
        description="only users whose sessions or API keys were used today, or in the last 7, 30 "
        "or 90 days with today; days are those of UTC",
        examples=["30d"],
    )
    not_seen_for: Annotated[NotSeenFor | None, Filter("activity", _not_seen_for)] = Field(
        None,
        description="only users whose sessions and API keys were not used in these days, or ever: "
        "those who never logged in are among them",
        examples=["90d"],
    )
    created_within: Annotated[CreatedWithin | None, Filter("created_at", is_within)] = Field(
        None,
        description="only users who were created today, since 00:00 UTC, or in the last 7 or 30 "
        "times 24 hours",
        examples=["7d"],
    )
    created_from: Annotated[FirstMoment | None, Filter("created_at", operator.ge)] = Field(
        None,
        description="only users who were created at this time or later; a day begins at 00:00 UTC",
        examples=["2026-11-01"],
    )
    created_to: Annotated[EndMoment | None, Filter("created_at", operator.lt)] = Field(
        None,
        description="only users who were created before this time, or up to the end of this day",
        examples=["2026-11-30"],
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
        description="usernames are sorted case-insensitively; ties are broken by id; a user who "
        "changes while a list by `updated_at` is followed may be left out, or come twice",
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
        description="present, and true, if more than 10,000 users match, which are too many to "
        "count for a search, a role, the last use or a time of creation",
        exclude_if=lambda is_estimate: not is_estimate,
    )


class UserCursorPage(CursorPage[UserSchema]):
    """A page of users with the cursor of the next one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [_ADA], "next_cursor": "cFo4dX0Zk1yNQ2b8mA9rZVsiYWRhIiwxXQ"}]
        }
    )

"""Schemas of permissions and roles."""

from datetime import datetime
from typing import Annotated

from pydantic import MISSING, AfterValidator, Field, StringConstraints

from app.core.pagination import Page
from app.core.permissions import Permission
from app.schemas.base import RequestSchema, ResponseSchema, Text

MAX_USER_ROLES = 20
"""Roles that a user has at most: each is an entry that their requests read from the cache."""

RoleName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,31}$"),
    Field(description="2 to 32 lower-case letters, digits or hyphens", examples=["support"]),
]
RoleDescription = Annotated[
    Text, Field(max_length=200, examples=["Reads users, reads and ends their sessions"])
]


def _sorted(permissions: list[Permission]) -> list[Permission]:
    """Each once, in the order of the enumeration."""
    return [permission for permission in Permission if permission in permissions]


Permissions = Annotated[
    list[Permission],
    Field(max_length=200, examples=[["users:read", "sessions:end"]]),
    AfterValidator(_sorted),
]


class PermissionSchema(ResponseSchema):
    """A permission, and whether the caller has it."""

    name: Permission = Field(examples=["users:read"])
    description: str = Field(examples=["List and read all users"])
    is_granted: bool = Field(description="whether you have it")


class RoleCreate(RequestSchema):
    """A new role."""

    name: RoleName
    description: RoleDescription = ""
    permissions: Permissions


class RoleUpdate(RequestSchema):
    """Changes of a role; fields that are left out stay."""

    name: RoleName | MISSING = MISSING
    description: RoleDescription | MISSING = MISSING
    permissions: Permissions | MISSING = MISSING


class RoleSchema(ResponseSchema):
    """A role: a named set of permissions."""

    id: int = Field(examples=[1])
    name: str = Field(examples=["support"])
    description: str = Field(examples=["Reads users, reads and ends their sessions"])
    permissions: list[str] = Field(
        description="a name that `GET /permissions` does not list allows nothing",
        examples=[["users:read", "sessions:end"]],
    )
    created_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])
    updated_at: datetime = Field(examples=["2026-11-21T06:30:00.123456Z"])


class RolePage(Page[RoleSchema]):
    """A numbered page of roles."""

    items: list[RoleSchema]  # pydantic serialises the library's Sequence more slowly
    total: int = Field(ge=0, examples=[1])
    page: int = Field(ge=1, examples=[1])
    size: int = Field(ge=1, examples=[50])
    pages: int = Field(ge=0, examples=[1])


class UserRoles(RequestSchema):
    """All roles that a user is to have, by name."""

    roles: list[RoleName] = Field(max_length=MAX_USER_ROLES, examples=[["support"]])

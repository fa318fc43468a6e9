"""Forms of roles, of a user's roles, and of API keys, as they are typed."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import Form
from pydantic import BaseModel, Field

from app.admin.forms.edits import Edited
from app.admin.forms.users import validated
from app.admin.services.own_rights import check_own_roles
from app.schemas.access.api_key import ApiKeyCreate
from app.schemas.access.impersonation import ImpersonationStart
from app.schemas.access.role import MAX_USER_ROLES, RoleCreate, RoleSchema, RoleUpdate, UserRoles
from app.schemas.access.session import Principal
from app.schemas.base import Text

Chosen = Annotated[list[Text], Field(max_length=200)]


class RoleForm(BaseModel):
    """The form for a role. Anything is accepted here, so that it can be shown again."""

    name: Text = ""
    description: Text = ""
    permissions: Chosen = []

    def create(self) -> RoleCreate:
        """
        Raises:
            ValidationException: a value is not valid.
        """
        return validated(RoleCreate, self.model_dump())


class EditRoleForm(Edited[RoleForm], RoleForm):
    """The form for an existing role."""

    @property
    def known(self) -> dict[str, object]:
        return self.was.model_dump()

    @classmethod
    def of(cls, role: Any) -> "EditRoleForm":
        was = RoleForm.model_validate(role, from_attributes=True)
        return cls.model_validate(was.model_dump() | {"was": was.model_dump_json()})

    def update(self) -> RoleUpdate:
        """The changes.

        Raises:
            ValidationException: a value is not valid.
        """
        return validated(RoleUpdate, self.model_dump(include=self.changed))


def role_choices(roles: Iterable[object]) -> list[tuple[str, str]]:
    """Name and description of each role, as the form shows them. They are read at once: a refusal
    ends the transaction that the roles belong to."""
    known = map(RoleSchema.model_validate, roles)
    return [(role.name, role.description) for role in known]


class UserRolesForm(BaseModel):
    """A user's roles."""

    roles: Annotated[list[Text], Field(max_length=MAX_USER_ROLES)] = []


class EditUserRolesForm(Edited[UserRolesForm], UserRolesForm):
    """The form for a user's roles.

    Attributes:
        is_sure: whether a warning was shown; see `OwnRightsException`.
    """

    is_sure: bool = False

    @classmethod
    def of(cls, names: list[str]) -> "EditUserRolesForm":
        was = UserRolesForm(roles=names)
        return cls.model_validate({"roles": names, "was": was.model_dump_json()})

    def check_own(self, admin: Principal, user_id: int) -> None:
        """
        Raises:
            OwnRightsException: callers take a role from themselves, and were not warned yet.
        """
        if not self.is_sure:
            check_own_roles(admin, user_id, self.was.roles, self.roles)

    def update(self) -> UserRoles:
        """
        Raises:
            ValidationException: a value is not valid.
        """
        return validated(UserRoles, {"roles": self.roles})


class KeyForm(BaseModel):
    """The form for an API key, which expires at the end of a day."""

    name: Text = ""
    expires_at: Text = Field(
        default_factory=lambda: f"{datetime.now(UTC) + timedelta(days=90):%Y-%m-%d}"
    )
    permissions: Chosen = []

    @property
    def last_day(self) -> date:
        """The last day that can be chosen."""
        return (datetime.now(UTC) + timedelta(days=365)).date()

    def create(self) -> ApiKeyCreate:
        """
        Raises:
            ValidationException: a value is not valid.
        """
        return validated(
            ApiKeyCreate, self.model_dump() | {"expires_at": f"{self.expires_at}T23:59:59Z"}
        )


class ImpersonationForm(BaseModel):
    """The form to act as a user. The pages are about accounts, and so always read-only."""

    reason: Text = ""

    def start(self) -> ImpersonationStart:
        """
        Raises:
            ValidationException: the reason is too short or too long.
        """
        return validated(ImpersonationStart, self.model_dump())


RoleFormBody = Annotated[RoleForm, Form()]
EditRoleFormBody = Annotated[EditRoleForm, Form()]
UserRolesFormBody = Annotated[EditUserRolesForm, Form()]
KeyFormBody = Annotated[KeyForm, Form()]
ImpersonationFormBody = Annotated[ImpersonationForm, Form()]

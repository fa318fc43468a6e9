"""Endpoints of roles and permissions."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Path, Request, Response

from app.api.convertors import USER_ID
from app.api.deps.auth import CurrentPrincipal, Requires
from app.api.deps.confirmation import Confirmed
from app.api.deps.services import Roles
from app.api.responses import errors
from app.api.routing import Router
from app.api.types import PaginationParams, UserId
from app.core.permissions import Permission
from app.schemas.access.role import (
    PermissionSchema,
    RoleCreate,
    RolePage,
    RoleSchema,
    RoleUpdate,
    UserRoles,
)
from app.schemas.access.session import Principal
from app.schemas.base import MAX_BIGINT

router = Router(tag="roles", description="Roles, which are sets of permissions, and who has them.")

Manager = Annotated[Principal, Requires(Permission.ROLES_MANAGE)]
RoleId = Annotated[int, Path(ge=1, le=MAX_BIGINT, description="the role's id", examples=[1])]


@router.get(
    "/permissions",
    operation_id="list_permissions",
    response_description="All permissions",
    responses=errors(401, 403),
)
async def list_permissions(caller: CurrentPrincipal, roles: Roles) -> list[PermissionSchema]:
    """All permissions, and which of them you have."""
    return roles.permissions(caller)


@router.post(
    "/roles",
    operation_id="create_role",
    response_description="The new role",
    status_code=201,
    dependencies=[Confirmed],
    responses=errors(401, 403, 409, body=True),
)
async def create_role(
    role_in: RoleCreate, roles: Roles, caller: Manager, request: Request, response: Response
) -> RoleSchema:
    """Create a role, of permissions that you have yourself."""
    role = RoleSchema.model_validate(await roles.create(role_in, caller))
    response.headers["Location"] = f"{request.url.path}/{role.id}"
    return role


@router.get(
    "/roles",
    operation_id="list_roles",
    response_description="A page of roles",
    responses=errors(401, 403),
)
async def list_roles(params: PaginationParams, roles: Roles, _: Manager) -> RolePage:
    """A page of roles, by name."""
    return RolePage.model_validate(await roles.page(params))


@router.get(
    "/roles/{role_id:row_id}",
    operation_id="get_role",
    response_description="The role",
    responses=errors(401, 403, 404),
)
async def get_role(role_id: RoleId, roles: Roles, _: Manager) -> RoleSchema:
    """A role."""
    return RoleSchema.model_validate(await roles.get(role_id))


@router.patch(
    "/roles/{role_id:row_id}",
    operation_id="update_role",
    response_description="The changed role",
    dependencies=[Confirmed],
    responses=errors(401, 403, 404, 409, body=True),
)
async def update_role(
    role_id: RoleId, role_in: RoleUpdate, roles: Roles, caller: Manager
) -> RoleSchema:
    """Change a role, by permissions that you have yourself; effective on the next request of
    everybody who has it."""
    return RoleSchema.model_validate(await roles.update(role_id, role_in, caller))


@router.delete(
    "/roles/{role_id:row_id}",
    operation_id="delete_role",
    response_description="The role is deleted",
    status_code=204,
    dependencies=[Confirmed],
    responses=errors(401, 403, 404),
)
async def delete_role(role_id: RoleId, roles: Roles, caller: Manager) -> None:
    """Delete a role; users who have it lose its permissions."""
    await roles.delete(role_id, caller)


@router.get(
    f"/users{USER_ID}/roles",
    operation_id="list_user_roles",
    response_description="The user's roles",
    responses=errors(401, 403, 404),
)
async def list_user_roles(
    user_id: UserId,
    roles: Roles,
    caller: Annotated[Principal, Requires(Permission.USERS_READ, of_others=True)],
) -> list[RoleSchema]:
    """The roles of a user: your own, or those of another user."""
    return _schemas(await roles.of_user(user_id, caller))


@router.put(
    f"/users{USER_ID}/roles",
    operation_id="set_user_roles",
    response_description="The user's roles",
    dependencies=[Confirmed],
    responses=errors(401, 403, 404, body=True),
)
async def set_user_roles(
    user_id: UserId, sent: UserRoles, roles: Roles, caller: Manager
) -> list[RoleSchema]:
    """Give a user these roles, and no others. You have to have the permissions of each role that is
    given or taken; only superusers change superusers."""
    return _schemas(await roles.set_of_user(user_id, sent, caller))


def _schemas(roles: Sequence[object]) -> list[RoleSchema]:
    return [RoleSchema.model_validate(role) for role in roles]

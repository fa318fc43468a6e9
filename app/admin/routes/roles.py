"""Routes of the role pages: the matrix of permissions, forms of roles, and a user's roles."""

from typing import Annotated

from fastapi import Path, Response

from app.admin.deps.pages import RolesPage, UserRolesPage
from app.admin.deps.services import Audit
from app.admin.forms.access import (
    EditRoleForm,
    EditRoleFormBody,
    EditUserRolesForm,
    RoleForm,
    RoleFormBody,
    UserRolesFormBody,
    role_choices,
)
from app.admin.listings.user_place import Place
from app.admin.page import Notice
from app.admin.rendering import BASE
from app.admin.services.edits import naming_who
from app.admin.translation import N_
from app.admin.typed import KeepsTyped
from app.api.deps.services import Confirmations, Roles, Users
from app.api.routing import Router
from app.api.types import UserId
from app.core.pagination import PageParams
from app.core.permissions import Permission
from app.schemas.audit import Target
from app.schemas.base import MAX_BIGINT
from app.services.access.roles import MAX_ROLES

router = Router(prefix=BASE, include_in_schema=False)

RoleId = Annotated[int, Path(ge=1, le=MAX_BIGINT)]
FORM, USER_FORM = "access/role.html", "access/user_roles.html"


@router.get("/roles", name="dashboard_roles")
async def roles_matrix(page: RolesPage, roles: Roles) -> Response:
    """The matrix: permissions by role."""
    return page.render(
        "access/roles.html",
        roles=await roles.all(),
        permissions=list(Permission),
        call=page.api_call("/roles", Permission.ROLES_MANAGE, PageParams(size=MAX_ROLES)),
    )


@router.get("/roles/new", name="dashboard_new_role")
async def new_role(page: RolesPage) -> Response:
    """The form for a new role."""
    return page.render(
        FORM, form=RoleForm(), role_id=None, permissions=list(Permission), error=None
    )


@router.post("/roles/new", name="dashboard_create_role", dependencies=[KeepsTyped])
async def create_role(
    form: RoleFormBody, page: RolesPage, roles: Roles, confirmations: Confirmations
) -> Response:
    """Create a role."""
    with page.redisplay_on_error(FORM, form=form, role_id=None, permissions=list(Permission)):
        await confirmations.require(page.admin)
        role = await roles.create(form.create(), page.admin)
    return page.redirect("/roles", Notice(f"Created {role.name}"))


@router.get("/roles/{role_id}", name="dashboard_edit_role")
async def edit_role(page: RolesPage, role_id: RoleId, roles: Roles) -> Response:
    """The form for an existing role."""
    form = EditRoleForm.of(await roles.get(role_id))
    return page.render(FORM, form=form, role_id=role_id, permissions=list(Permission), error=None)


@router.post("/roles/{role_id}", name="dashboard_update_role", dependencies=[KeepsTyped])
async def update_role(
    role_id: RoleId,
    form: EditRoleFormBody,
    page: RolesPage,
    roles: Roles,
    confirmations: Confirmations,
    audit: Audit,
) -> Response:
    """Change a role."""
    with page.redisplay_on_error(FORM, form=form, role_id=role_id, permissions=list(Permission)):
        await confirmations.require(page.admin)
        async with naming_who(audit, Target("role", role_id), page.admin):
            role = await roles.update(role_id, form.update(), page.admin, form.known)
    return page.redirect("/roles", Notice(f"Saved {role.name}"))


@router.get("/roles/{role_id}/delete", name="dashboard_confirm_role_deletion")
async def confirm_deletion(page: RolesPage, role_id: RoleId, roles: Roles) -> Response:
    """Ask for confirmation before the deletion of a role."""
    role = await roles.get(role_id)
    return page.render(
        "access/confirm.html",
        title=N_(f"Delete the role {role.name}?"),
        text=N_("Users who have it lose its permissions at once. This cannot be undone."),
        action=N_("Delete the role"),
        place=f"{BASE}/roles/{role_id}/delete",
        back=f"{BASE}/roles",
    )


@router.post("/roles/{role_id}/delete", name="dashboard_delete_role")
async def delete_role(
    role_id: RoleId, page: RolesPage, roles: Roles, confirmations: Confirmations
) -> Response:
    """Delete a role."""
    await confirmations.require(page.admin)
    await roles.delete(role_id, page.admin)
    return page.redirect("/roles", Notice("Deleted the role"))


@router.get("/users/{user_id}/roles", name="dashboard_user_roles")
async def user_roles(
    page: UserRolesPage, user_id: UserId, place: Place, roles: Roles, users: Users
) -> Response:
    """The form for a user's roles."""
    form = EditUserRolesForm.of([role.name for role in await roles.of_user(user_id, page.admin)])
    user = await users.get(user_id, page.admin)
    known = role_choices(await roles.all())
    return page.render(USER_FORM, form=form, user=user, place=place, roles=known, error=None)


@router.post("/users/{user_id}/roles", name="dashboard_set_user_roles", dependencies=[KeepsTyped])
async def set_user_roles(
    user_id: UserId,
    place: Place,
    form: UserRolesFormBody,
    page: UserRolesPage,
    roles: Roles,
    users: Users,
    confirmations: Confirmations,
) -> Response:
    """Give a user the chosen roles, and take the others, unless they were given meanwhile."""
    user = await users.get(user_id, page.admin)
    known = role_choices(await roles.all())
    with page.redisplay_on_error(USER_FORM, form=form, user=user, place=place, roles=known):
        await confirmations.require(page.admin)
        form.check_own(page.admin, user_id)
        await roles.set_of_user(user_id, form.update(), page.admin, form.was.roles)
    return page.redirect_to(place.url(), Notice(f"Saved the roles of {user.username}"))

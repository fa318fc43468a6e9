"""`RoleService`: roles, and which of them a user has."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import ConflictException, ForbiddenException, ValidationException
from app.core.pagination import Page, PageParams
from app.core.permissions import Permission
from app.models.role import Role
from app.repositories.access.role import RoleRepository
from app.repositories.user.repository import UserRepository
from app.schemas.access.role import (
    MAX_USER_ROLES,
    PermissionSchema,
    RoleCreate,
    RoleUpdate,
    UserRoles,
)
from app.schemas.access.session import Principal
from app.schemas.audit import Action
from app.services.access.rules import check_granted, check_superuser, permissions_of
from app.services.audit.redaction import state_of, target_of
from app.services.base import BaseService
from app.services.merging import NOTHING, merged, merged_set
from app.services.principals import PrincipalCache

MAX_ROLES = 100


class RoleService(BaseService):
    """Creates, changes, deletes and assigns roles. A change is effective on the next request of
    everybody who has the role, in every process.

    Nobody gives, and nobody takes, a permission that they do not have themselves.
    """

    def __init__(self, db: AsyncSession, principals: PrincipalCache) -> None:
        super().__init__(db)
        self.roles = RoleRepository(db)
        self.users = UserRepository(db)
        self.principals = principals

    @staticmethod
    def permissions(caller: Principal) -> list[PermissionSchema]:
        """All permissions, and which of them the caller has."""
        return [
            PermissionSchema(
                name=permission,
                description=permission.description,
                is_granted=caller.may(permission),
            )
            for permission in Permission
        ]

    async def page(self, params: PageParams) -> Page[Role]:
        """A page of the roles, by name."""
        return await self.roles.ordered(params)

    async def all(self) -> Sequence[Role]:
        """All roles, by name: `MAX_ROLES` at most."""
        return await self.roles.all()

    async def visible_names(self, caller: Principal) -> list[str]:
        """The names of all roles, for a filter; none where the caller may not list roles."""
        if not caller.may(Permission.ROLES_MANAGE):
            return []
        return [role.name for role in await self.all()]

    async def grantable(self, caller: Principal) -> list[Role]:
        """The roles that the caller may give, by name: those that allow no more than the caller's
        own."""
        return [role for role in await self.all() if permissions_of([role]) <= caller.permissions]

    async def get(self, role_id: int) -> Role:
        """
        Raises:
            NotFoundException: there is no such role.
        """
        return await self.roles.get_or_raise(role_id)

    async def create(self, role_in: RoleCreate, caller: Principal) -> Role:
        """Create a role.

        Raises:
            ForbiddenException: the caller lacks one of its permissions.
            ConflictException: the name is taken, or there are `MAX_ROLES` already.
        """
        check_granted(caller, role_in.permissions)
        async with self.transaction():
            if await self.roles.count() >= MAX_ROLES:
                raise ConflictException(f"There are {MAX_ROLES} roles already")
            role = await self.roles.add(Role(**_values(role_in)))
            self.audit.record(Action.ROLE_CREATED, target_of(role), after=state_of(role))
        return role

    async def update(
        self,
        role_id: int,
        role_in: RoleUpdate,
        caller: Principal,
        known: Mapping[str, Any] = NOTHING,
    ) -> Role:
        """Change the fields that were sent.

        Args:
            role_id: the role.
            role_in: the changes.
            caller: who makes them.
            known: values of fields as the caller knew them: see `merged`.

        Raises:
            ChangedMeanwhileException: fields are not as known.
            NotFoundException: there is no such role.
            ForbiddenException: the caller lacks a permission that is added or removed.
            ConflictException: the name is taken.
        """
        async with self.transaction():
            role = await self.roles.get_or_raise(role_id, lock=True)
            before, allowed = state_of(role), permissions_of([role])
            for field, value in merged(_values(role_in), known, before).items():
                setattr(role, field, value)
            check_granted(caller, allowed ^ permissions_of([role]))
            await self.roles.flush()
            if (after := state_of(role)) != before:
                self.audit.record(Action.ROLE_UPDATED, target_of(role), before=before, after=after)
        await self.principals.forget_role(role_id)
        return role

    async def delete(self, role_id: int, caller: Principal) -> None:
        """Delete a role; those who have it lose its permissions.

        Raises:
            NotFoundException: there is no such role.
            ForbiddenException: the caller lacks one of its permissions.
        """
        async with self.transaction():
            role = await self.roles.get_or_raise(role_id, lock=True)
            check_granted(caller, permissions_of([role]))
            before = state_of(role)
            await self.roles.delete(role)
            self.audit.record(Action.ROLE_DELETED, target_of(role), before=before)
        await self.principals.forget_role(role_id)

    async def of_user(self, user_id: int, caller: Principal) -> Sequence[Role]:
        """The roles of a user, by name: of the caller, or of anybody with `users:read`.

        Raises:
            ForbiddenException: the caller is another user without the permission.
            NotFoundException: there is no such user.
        """
        if caller.user_id != user_id and not caller.may(Permission.USERS_READ):
            raise ForbiddenException
        await self.users.get_or_raise(user_id)
        return await self.roles.of_user(user_id)

    async def set_of_user(
        self,
        user_id: int,
        sent: UserRoles,
        caller: Principal,
        known: Collection[str] | None = None,
    ) -> Sequence[Role]:
        """Give a user these roles and no others.

        Args:
            user_id: the user.
            sent: all roles by name.
            caller: who gives them.
            known: the roles that the user had when the caller read them: what others have given and
                taken since stays so.

        Raises:
            ConflictException: with what others have given since, the user would have too many.
            NotFoundException: there is no such user.
            ForbiddenException: the user is a superuser and the caller is none, or the caller lacks
                a permission of a role that is given or taken.
            ValidationException: there is no role with such a name.
        """
        async with self.transaction():
            user = await self.users.get_or_raise(user_id, lock=True)
            before, named = await self.roles.lock_of_user_and_named(user_id, sent.roles)
            had_names = {role.name for role in before}
            names = merged_set(sent.roles, had_names if known is None else known, had_names)
            by_name = {role.name: role for role in (*before, *named)}
            _require_all(names, by_name)
            check_superuser(caller, user)
            after = [by_name[name] for name in sorted(names)]
            had, has = {role.id for role in before}, {role.id for role in after}
            changed = [role for role in (*before, *after) if role.id in had ^ has]
            check_granted(caller, permissions_of(changed))
            await self.roles.take(user_id, had - has)
            await self.roles.give(user_id, has - had)
            self.audit.record(
                Action.ROLES_ASSIGNED,
                target_of(user),
                before={"roles": sorted(role.name for role in before)},
                after={"roles": sorted(names)},
            )
        await self.principals.forget_user(user_id)
        return after


def _values(role_in: RoleCreate | RoleUpdate) -> dict[str, object]:
    values = role_in.model_dump(exclude_unset=True)
    if "permissions" in values:
        values["permissions"] = [str(permission) for permission in values["permissions"]]
    return values


def _require_all(names: set[str], found: Collection[str]) -> None:
    if names - set(found):
        raise ValidationException(
            details=[{"field": "roles", "message": "there is no such role", "code": "not_found"}]
        )
    if len(names) > MAX_USER_ROLES:
        raise ConflictException(f"A user has at most {MAX_USER_ROLES} roles")

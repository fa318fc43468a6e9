"""Queries on roles, and on the users who have them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    SQLColumnExpression,
    Text,
    cast,
    delete,
    func,
    insert,
    select,
)

from app.core.pagination import Page, PageParams
from app.models import User
from app.models.role import Role, UserRole
from app.repositories.base import BaseRepository


class RoleRepository(BaseRepository[Role]):
    model = Role
    unique = {"uq_roles_name": "name"}  # noqa: RUF012  # declared ClassVar in the base

    async def ordered(self, params: PageParams) -> Page[Role]:
        """A page of the roles, by name."""
        return await self.paginate(select(Role).order_by(Role.name), params)

    async def all(self) -> Sequence[Role]:
        """All roles, by name."""
        return (await self.db.scalars(select(Role).order_by(Role.name))).all()

    async def named(self, names: Collection[str]) -> Sequence[Role]:
        """The roles with these names."""
        if not names:
            return []
        return (await self.db.scalars(select(Role).where(Role.name.in_(names)))).all()

    async def count(self) -> int:
        return await self.db.scalar(select(func.count()).select_from(Role)) or 0

    async def of_user(self, user_id: int) -> Sequence[Role]:
        """The roles of a user, by name."""
        return (await self.db.scalars(_of_user(user_id).order_by(Role.name))).all()

    async def lock_of_user_and_named(
        self, user_id: int, names: Collection[str]
    ) -> tuple[Sequence[Role], Sequence[Role]]:
        """The roles that a user has, and those with these names, locked against changes until the
        transaction ends.

        In the order of their ids, so that two callers cannot wait for each other.
        """
        ids = _of_user(user_id).with_only_columns(Role.id)
        query = select(Role).where(Role.id.in_(ids) | Role.name.in_(names)).order_by(Role.id)
        rows = (await self.db.scalars(query.with_for_update(read=True))).all()
        had = set((await self.db.scalars(ids)).all())
        return [row for row in rows if row.id in had], [row for row in rows if row.name in names]

    async def give(self, user_id: int, role_ids: Collection[int]) -> None:
        rows = [{"user_id": user_id, "role_id": role_id} for role_id in role_ids]
        if rows:
            await self.db.execute(insert(UserRole), rows)

    async def take(self, user_id: int, role_ids: Collection[int]) -> None:
        which = UserRole.user_id == user_id, UserRole.role_id.in_(role_ids)
        await self.db.execute(delete(UserRole).where(*which))

    async def names_by_user(self, user_ids: Sequence[int]) -> Mapping[int, list[str]]:
        """The names of the roles of each user who has any."""
        query = (
            select(UserRole.user_id, func.array_agg(Role.name))
            .join(Role, Role.id == UserRole.role_id)
            .where(UserRole.user_id.in_(user_ids))
            .group_by(UserRole.user_id)
        )
        return {user_id: sorted(names) for user_id, names in await self.db.execute(query)}


def roles_of(user_id: SQLColumnExpression[int]) -> ColumnElement[Any]:
    """The permissions of each of a user's roles by its id, as a column of a query on users: the
    principal of a request is read by one statement."""
    return (
        select(func.jsonb_object_agg(cast(Role.id, Text), Role.permissions))
        .join(UserRole, UserRole.role_id == Role.id)
        .where(UserRole.user_id == user_id)
        .scalar_subquery()
    )


def has_role() -> ColumnElement[bool]:
    """Whether a user has any role, as a column of a query on users."""
    return select(UserRole.role_id).where(UserRole.user_id == User.id).exists()


def _of_user(user_id: int) -> Select[Role]:
    return (
        select(Role).join(UserRole, UserRole.role_id == Role.id).where(UserRole.user_id == user_id)
    )

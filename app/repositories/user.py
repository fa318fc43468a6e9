"""Queries on users."""

from collections.abc import Sequence

from fastapi_pagination.ext.sqlalchemy import apaginate
from sqlalchemy import Row, Select, func, select, text, update

from app.core.pagination import Page, PageParams
from app.models import User
from app.repositories.base import BaseRepository


class UserRepository(BaseRepository[User]):
    model = User
    unique = {"uq_users_email": "email", "uq_users_username_lower": "username"}  # noqa: RUF012  # declared ClassVar in the base

    async def get_or_raise(self, user_id: int, *, lock: bool = False) -> User:
        """The user, locked until the transaction ends where `lock` is set.

        Raises:
            NotFoundException: there is none.
        """
        user = await self.db.get(User, user_id, with_for_update=lock or None)
        if user is None:
            raise self._not_found()
        return user

    async def delete(self, user: User) -> None:
        """Delete the row; the database deletes the sessions with it."""
        await self.db.delete(user)
        await self.flush()

    async def page(self, query: Select[User], params: PageParams) -> Page[User]:
        """One page of `query`, and how many rows there are in all."""
        page: Page[User] = await apaginate(self.db, query, params)
        return page

    async def by_email(self, email: str) -> User | None:
        return await self.db.scalar(select(User).where(User.email == email.lower()))

    async def credentials(self, login: str) -> Row[int, str, bool] | None:
        """`id`, `hashed_password` and `is_active` of whoever has this email or username."""
        is_theirs = (
            User.email == login.lower()
            if "@" in login
            # Not the database's lower(), which makes a plain i of İ: each name has one spelling.
            else func.lower(User.username) == login.lower()
        )
        query = select(User.id, User.hashed_password, User.is_active).where(is_theirs)
        return (await self.db.execute(query)).one_or_none()

    async def lock_unchanged(self, user_id: int, hashed_password: str) -> bool:
        """Whether they are active and still have this hash, both until the transaction ends."""
        query = (
            select(User.id)
            .where(User.id == user_id, User.hashed_password == hashed_password, User.is_active)
            .with_for_update(key_share=True)
        )
        return await self.db.scalar(query) is not None

    async def replace_hash(self, user_id: int, old: str, new: str) -> bool:
        """Store another hash, unless the password was changed meanwhile; whether it was stored."""
        unchanged = User.id == user_id, User.hashed_password == old
        query = update(User).where(*unchanged).values(hashed_password=new).returning(User.id)
        return await self.db.scalar(query) is not None

    async def lock_superusers(self) -> Sequence[int]:
        """Ids of the active superusers, who stay so until the transaction ends.

        Locked in the order of their ids, so that two callers cannot wait for each other.
        """
        query = self.superusers().with_only_columns(User.id).order_by(User.id).with_for_update()
        return (await self.db.scalars(query)).all()

    async def last_id(self) -> int:
        return await self.db.scalar(select(func.coalesce(func.max(User.id), 0))) or 0

    async def copy(self, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        """Insert many rows by COPY, within the session's transaction, which a query must have
        begun already: COPY goes past SQLAlchemy, straight to asyncpg."""
        connection = await (await self.db.connection()).get_raw_connection()
        driver = connection.driver_connection
        assert driver is not None  # noqa: S101  # it is, while the connection is checked out
        await driver.copy_records_to_table(User.__tablename__, records=rows, columns=columns)

    async def analyze(self) -> None:
        """Let the planner know what the table holds now."""
        await self.db.execute(text("ANALYZE users"))

    async def has_superuser(self) -> bool:
        return bool(await self.db.scalar(select(self.superusers().exists())))

    def superusers(self) -> Select[User]:
        return select(User).where(User.is_superuser, User.is_active)

    def newest_first(self) -> Select[User]:
        return select(User).order_by(User.created_at.desc(), User.id.desc())

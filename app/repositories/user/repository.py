"""Queries on users."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from sqlalchemy import Row, Select, func, select, text, update

from app.core.normalisation import normalise_login
from app.database.errors import DRIVER_ERRORS, translate_driver
from app.models import User
from app.models.user import username_key_of
from app.repositories.base import BaseRepository
from app.repositories.user import queries


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

    @staticmethod
    def get_filtered_users(
        is_active: bool | None = None,  # noqa: FBT001  # a fixed name that others rely on
        is_superuser: bool | None = None,  # noqa: FBT001  # the same
        search: str | None = None,
        sort_by: str = "created_at",
        sort_order: str = "desc",
    ) -> Select[User]:
        """Users by state and by part of a name, in an order that leaves nothing to chance.

        Args:
            is_active: None for both; so is `is_superuser`.
            search: part of the username, email or full name, in any case; no wildcards.
            sort_by: `created_at`, `username` (in any case) or `email`.
            sort_order: `desc` or `asc`, also of the ids that break ties.
        """
        return queries.filtered(is_active, is_superuser, search, sort_by, sort_order)

    async def batches(
        self, query: Select[User], size: int
    ) -> AsyncGenerator[Sequence[Row[Any]], None]:
        """What `query` has, `size` rows at a time, by a cursor that the server keeps.

        Args:
            query: of users.
            size: rows fetched, and held, at once.

        Raises:
            AppException: the database failed meanwhile, as for any statement.
        """
        profiles = query.with_only_columns(*queries.PROFILE)
        rows = await self.db.stream(profiles, execution_options={"yield_per": size})
        try:
            async for batch in rows.partitions():
                yield batch
        except DRIVER_ERRORS as error:
            raise translate_driver(error) from error

    async def by_email(self, email: str) -> User | None:
        query = select(User).where(User.email.in_(_spellings(email)))
        return await self.db.scalar(query.order_by(User.email == normalise_login(email)).limit(1))

    async def credentials(self, login: str) -> Row[int, str, bool, bool] | None:
        """`id`, `hashed_password`, `is_active` and `is_superuser` of whoever has this email or
        username."""
        normal = normalise_login(login)
        known = User.id, User.hashed_password, User.is_active, User.is_superuser
        query = select(*known)
        if "@" in login:
            query = query.where(User.email.in_(_spellings(login))).order_by(User.email == normal)
        else:
            query = query.where(username_key_of(User.username) == normal)
        return (await self.db.execute(query.limit(1))).one_or_none()

    async def password_hash(self, user_id: int) -> str | None:
        return await self.db.scalar(select(User.hashed_password).where(User.id == user_id))

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


def _spellings(email: str) -> tuple[str, str]:
    """As it was typed and as it is stored. Another program may have written a row as it was typed,
    and the migration left such a one where its normal spelling was taken: that one comes first."""
    return email.lower(), normalise_login(email)

"""Queries on single users, and their creation."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    ARRAY,
    Select,
    TableValuedColumn,
    Text,
    bindparam,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    union_all,
    update,
)

from app.core.text.normalisation import normalise_login
from app.database import locks
from app.models import User
from app.models.user import username_key_of
from app.repositories.access.role import has_role
from app.repositories.base import BaseRepository
from app.repositories.user.lists import LISTS, select_users
from app.schemas.list_params import SortOrder
from app.schemas.user_list import SortBy, UserFilters


class Credentials(NamedTuple):
    """The columns that a login needs.

    Attributes:
        may_use_pages: whether they are a superuser or have a role.
    """

    id: int
    hashed_password: str
    is_active: bool
    is_superuser: bool
    has_mfa: bool
    email_verified_at: datetime | None
    may_use_pages: bool


# Statements of a login are built once: building them took a seventh of its time on the event loop.
_CREDENTIALS = select(
    *(User.id, User.hashed_password, User.is_active, User.is_superuser, User.has_mfa),
    User.email_verified_at,
    or_(User.is_superuser, has_role()),
)
_BY_EMAIL = (
    _CREDENTIALS.where(User.email.in_(bindparam("spellings", expanding=True)))
    .order_by(User.email == bindparam("normal"))
    .limit(1)
)
_BY_USERNAME = _CREDENTIALS.where(username_key_of(User.username) == bindparam("normal")).limit(1)
_BY_ID = _CREDENTIALS.where(User.id == bindparam("id"))
_UNCHANGED = (
    select(User.id)
    .where(
        User.id == bindparam("id"),
        User.hashed_password == bindparam("hashed_password"),
        User.has_mfa == bindparam("has_mfa"),
        User.is_active,
    )
    .with_for_update(key_share=True)
)


class UserRepository(BaseRepository[User]):
    model = User
    lists = LISTS
    unique = {"uq_users_email": "email", "uq_users_username_lower": "username"}  # noqa: RUF012  # declared ClassVar in the base

    @staticmethod
    def get_filtered_users(
        is_active: bool | None = None,  # noqa: FBT001  # a fixed name that others rely on
        is_superuser: bool | None = None,  # noqa: FBT001  # the same
        search: str | None = None,
        sort_by: SortBy = "created_at",
        sort_order: SortOrder = "desc",
    ) -> Select[User]:
        """Users by state and by part of a name, in a total order.

        Args:
            is_active: None for both; so is `is_superuser`.
            search: part of the username, email or full name, in any case; no wildcards.
            sort_by: `created_at`, `updated_at`, `id`, `username` (in any case) or `email`.
            sort_order: `desc` or `asc`, also of the ids that break ties.
        """
        return select_users(
            UserFilters(
                is_active=is_active,
                is_superuser=is_superuser,
                search=search,
                sort_by=sort_by,
                sort_order=sort_order,
            )
        )

    async def by_email(self, email: str) -> User | None:
        query = select(User).where(User.email.in_(_spellings(email)))
        return await self.db.scalar(query.order_by(User.email == normalise_login(email)).limit(1))

    async def credentials(self, login: str) -> Credentials | None:
        """The credentials of the user with this email or username."""
        values: dict[str, object] = {"normal": normalise_login(login)}
        if "@" in login:
            values["spellings"] = _spellings(login)
        query = _BY_EMAIL if "@" in login else _BY_USERNAME
        row = (await self.db.execute(query, values)).one_or_none()
        return None if row is None else Credentials(*row)

    async def credentials_of(self, user_id: int) -> Credentials | None:
        """The credentials of the user with this id."""
        row = (await self.db.execute(_BY_ID, {"id": user_id})).one_or_none()
        return None if row is None else Credentials(*row)

    async def password_hash(self, user_id: int) -> str | None:
        return await self.db.scalar(select(User.hashed_password).where(User.id == user_id))

    async def lock_unchanged(self, known: Credentials) -> bool:
        """Lock an active user who still has this password, and has a second factor or not as
        before, until the transaction ends; whether there is one."""
        same = {name: getattr(known, name) for name in ("id", "hashed_password", "has_mfa")}
        return await self.db.scalar(_UNCHANGED, same) is not None

    async def replace_hash(self, user_id: int, old: str, new: str) -> bool:
        """Store another hash, unless the password was changed meanwhile; whether it was stored."""
        unchanged = User.id == user_id, User.hashed_password == old
        query = update(User).where(*unchanged).values(hashed_password=new).returning(User.id)
        return await self.db.scalar(query) is not None

    async def lock_superusers(self) -> Sequence[int]:
        """Lock the active superusers until the transaction ends; their ids.

        In the order of their ids, so that two callers cannot wait for each other.
        """
        query = _superusers().with_only_columns(User.id).order_by(User.id).with_for_update()
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
        """Update the planner's statistics of the table."""
        await self.db.execute(text("ANALYZE users"))

    async def has_superuser(self) -> bool:
        return bool(await self.db.scalar(select(_superusers().exists())))

    async def is_superuser(self, user_id: int) -> bool:
        """Whether this is an active superuser."""
        return bool(await self.db.scalar(select(_superusers().where(User.id == user_id).exists())))

    async def taken(
        self, emails: Collection[str], usernames: Collection[str]
    ) -> dict[str, set[str]]:
        """Of these emails and keys of usernames, those that a user has already, by field.

        One query. Joined, and not compared with `= ANY`: for a plan that is made before the values
        are known, PostgreSQL would look through the whole array at each row of the table.
        """
        found: dict[str, set[str]] = {"email": set(), "username": set()}
        rows = await self.db.execute(
            union_all(
                *(
                    select(literal(field), column).where(column == asked)
                    for field, column, asked in (
                        ("email", User.email, _each(emails)),
                        ("username", username_key_of(User.username), _each(usernames)),
                    )
                )
            )
        )
        for field, value in rows:
            found[field].add(value)
        return found

    async def lock_bulk(self) -> None:
        """Wait until no other list is being inserted, and make others wait until the transaction
        ends."""
        await self.db.execute(select(func.pg_advisory_xact_lock(locks.BULK_CREATION)))

    async def add_all(self, rows: Sequence[Mapping[str, object]]) -> Sequence[User]:
        """Insert users by one statement; where that fails, only it is undone and the transaction
        goes on.

        Args:
            rows: by column, all with the same columns.

        Returns:
            The users, in the order of `rows`.

        Raises:
            ConflictException: an email or username is taken already; the detail says which.
        """
        if not rows:  # without any, the statement would insert one of defaults
            return []
        query = insert(User).returning(User, sort_by_parameter_order=True)
        async with self._conflicts(), self.db.begin_nested():
            return (await self.db.scalars(query, rows)).all()


def _superusers() -> Select[User]:
    return select(User).where(User.is_superuser, User.is_active)


def _each(values: Collection[str]) -> TableValuedColumn[str]:
    """The values as rows: one parameter, however many there are."""
    return func.unnest(literal(list(values), ARRAY(Text))).column_valued()


def _spellings(email: str) -> tuple[str, str]:
    """An email as typed and as stored. Another program may have written a row as it was typed, and
    the migration left such a row where its normal spelling was taken: that row comes first."""
    return email.lower(), normalise_login(email)

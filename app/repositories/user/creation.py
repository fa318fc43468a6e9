"""Queries for users who are about to be created."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import (
    ARRAY,
    TableValuedColumn,
    Text,
    func,
    insert,
    literal,
    select,
    union_all,
)

from app.models import User
from app.models.user import username_key_of
from app.repositories.base import BaseRepository
from app.repositories.user.repository import UserRepository

_BULK_LOCK = 4_862_019_175  # of an advisory lock; beside those of migrations and of the purge


class NewUserRepository(BaseRepository[User]):
    model = User
    unique = UserRepository.unique

    async def taken(
        self, emails: Collection[str], usernames: Collection[str]
    ) -> dict[str, set[str]]:
        """Of these emails and keys of usernames, those that somebody has, by field.

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
        """Wait until no other list is being inserted, and keep others waiting until the
        transaction ends."""
        await self.db.execute(select(func.pg_advisory_xact_lock(_BULK_LOCK)))

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


def _each(values: Collection[str]) -> TableValuedColumn[str]:
    """As rows; one parameter, however many there are."""
    return func.unnest(literal(list(values), ARRAY(Text))).column_valued()

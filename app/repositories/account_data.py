"""Queries on all rows that are stored of a user, in whatever table."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, LargeBinary, Select, Table, or_, select, tuple_

from app.core.security.secret_names import is_secret_name
from app.database import Base, Reads
from app.models import User

BATCH = 500
"""Rows held in memory at a time."""
WITHOUT_KEY: Mapping[str, str] = {
    "audit_events": "user_id",
    "bulk_action_users": "user_id",
    "bulk_actions": "user_id",
    "kept_answers": "user_id",
    "mails": "user_id",
    "transfers": "user_id",
}
"""Tables that refer to users without a foreign key, since their rows outlive the user: the column
with the user's id, by table."""

ACTOR = ("actor", "actor_name", "address", "impersonator_id", "request_id", "trace_id")
"""Columns of the audit trail that tell who acted, and from where."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """The rows of a table that refer to a user.

    Attributes:
        table: with a primary key.
        owners: columns with the id of a user.
    """

    table: Table
    owners: tuple[Column[Any], ...]

    @property
    def columns(self) -> list[Column[Any]]:
        """All but secrets, and encrypted or binary contents."""
        return [
            column
            for column in self.table.columns
            if not isinstance(column.type, LargeBinary) and not is_secret_name(column.name)
        ]

    def select(self, user_id: int) -> Select[*tuple[Any, ...]]:
        """The exported columns, behind those of the primary key, in its order."""
        query = select(*self.table.primary_key, *self.columns)
        query = query.where(or_(*(column == user_id for column in self.owners)))
        return query.order_by(*self.table.primary_key).limit(BATCH)


def sections() -> Iterator[Section]:
    """All tables that refer to users, the one of users first."""
    users = User.__table__
    assert isinstance(users, Table)  # noqa: S101  # for mypy
    yield Section(users, (users.c.id,))
    for table in Base.metadata.sorted_tables:
        owners = tuple(key.parent for key in table.foreign_keys if key.references(users))
        if table.name in WITHOUT_KEY:
            owners = (table.c[WITHOUT_KEY[table.name]],)
        if owners:
            yield Section(table, owners)


class AccountDataRepository:
    """Reads the rows of one user.

    Args:
        reads: of the primary. No connection is held between two batches, however slowly they are
            taken; so the rows are not all of one moment.
    """

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def batches(self, section: Section, user_id: int) -> AsyncIterator[list[Values]]:
        """The rows of a section, at most `BATCH` at a time; at least one batch."""
        key, query = tuple(section.table.primary_key), section.select(user_id)
        names = [column.name for column in section.columns]
        after: tuple[Any, ...] | None = None
        while True:
            page = query if after is None else query.where(tuple_(*key) > tuple_(*after))
            rows = [tuple(row) for row in await self._reads.rows(page)]
            found = (dict(zip(names, row[len(key) :], strict=True)) for row in rows)
            yield [_without_others(values, user_id) for values in found]
            if len(rows) < BATCH:
                return
            after = rows[-1][: len(key)]


def _without_others(values: Values, user_id: int) -> Values:
    """A row; if it is an event or a session of another's doing, such as an administrator's, without
    who it was: see `GET /users/me/events`."""
    if values.get("impersonator_session_id") is not None:
        return values | {"impersonator_id": None, "impersonator_session_id": None}
    if values.get("actor") in {None, "anonymous"}:
        return values
    is_own = values["actor"] == f"user:{user_id}" and values["impersonator_id"] is None
    return values if is_own else values | dict.fromkeys(ACTOR)

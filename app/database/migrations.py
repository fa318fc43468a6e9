"""Schema migrations: one process at a time, without blocking queries; and operations on indexes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Literal

import structlog
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alembic import command, op
from app.core.config import ROOT

log = structlog.get_logger("app.migrations")

LOCK_TIMEOUT = "5s"
"""Longest wait of a migration for a lock: every query queues behind a waiting one."""
LOCK_KEY = 4_862_019_173
"""Key of the advisory lock that serialises migrations; an arbitrary number."""
_TRY_LOCK = text(f"SELECT pg_try_advisory_lock({LOCK_KEY})")


def _config(connection: Connection | None = None) -> Config:
    config = Config(ROOT / "alembic.ini")
    config.attributes["connection"] = connection
    return config


class MigrationsError(RuntimeError):
    """The migration is not possible; the message says why, and what to do."""


def head_revision() -> str | None:
    """The newest revision in the code.

    Raises:
        MigrationsError: there are several heads.
    """
    heads = sorted(ScriptDirectory.from_config(_config()).get_heads())
    if len(heads) > 1:
        raise MigrationsError(
            f"multiple heads: {', '.join(heads)}. Two migrations follow the same one: change "
            "down_revision of the later to the other's revision, or join them by `alembic merge "
            "heads`"
        )
    return heads[0] if heads else None


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The revision of the database compared with that of the code.

    Attributes:
        at: of the database; None if it was never migrated.
        newest: of the code.
        state: `newer`: migrated by a later release; `unknown`: by another history.
    """

    at: str | None
    newest: str | None
    state: Literal["current", "behind", "newer", "unknown"]

    @property
    def serves(self) -> bool:
        """Whether this release works with the schema: migrations add before they remove."""
        return self.state in {"current", "newer"}

    def __str__(self) -> str:
        if self.state == "newer":
            return f"the schema is newer ({self.at}) than this release ({self.newest})"
        if self.state == "unknown":
            return f"the schema is at {self.at}, which is no revision of this release"
        return f"at {self.at or 'nothing'}, newest is {self.newest}"


def compare_schema(at: str | None) -> SchemaState:
    """Compare the database's revision, `at`, with the newest of the code.

    Raises:
        MigrationsError: see `head_revision`.
    """
    newest = head_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if at == newest:
        return SchemaState(at, newest, "current")
    if at is None or at in known:
        return SchemaState(at, newest, "behind")
    is_numbered = newest is not None and at.isdecimal() and newest.isdecimal()
    is_newer = is_numbered and int(at) > int(newest or 0)
    return SchemaState(at, newest, "newer" if is_newer else "unknown")


async def schema_of(engine: AsyncEngine) -> SchemaState:
    """The state of the database's schema.

    Raises:
        MigrationsError: see `head_revision`.
    """
    at = await current_revision(engine)
    return await asyncio.to_thread(compare_schema, at)  # reads all scripts, which takes a while


def encoding_fault(connection: Connection) -> str | None:
    """Message that refuses the database's encoding and says what to do; None for UTF-8.

    Other encodings store only part of the world's names; with SQL_ASCII, case and length of text
    would be wrong.
    """
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding == "UTF8":
        return None
    return (
        f"the database's encoding is {encoding}, and must be UTF8: create another by "
        "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and restore a dump into it"
    )


def require_utf8(connection: Connection) -> None:
    """Check the database's encoding.

    Raises:
        MigrationsError: it is not UTF-8.
    """
    if fault := encoding_fault(connection):
        raise MigrationsError(fault)


def _revision_of(connection: Connection) -> str | None:
    heads = MigrationContext.configure(connection).get_current_heads()
    return ", ".join(sorted(heads)) or None


async def current_revision(engine: AsyncEngine) -> str | None:
    """The revision of the database; None if it was never migrated."""
    async with engine.connect() as connection:
        return await connection.run_sync(_revision_of)


@asynccontextmanager
async def _migration_lock(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection that holds the migration lock, so that instances starting at once migrate one
    after another.

    It is closed afterwards, not returned to the pool: the lock ends with it, and no request
    inherits the settings of a migration.
    """
    async with engine.connect() as connection:
        try:
            # Polling, since a statement that waits holds a snapshot, and CREATE INDEX CONCURRENTLY
            # in the other process would wait for that.
            while not await connection.scalar(_TRY_LOCK):
                await connection.rollback()
                await asyncio.sleep(0.2)
            yield connection
        finally:
            await connection.invalidate()


async def migrate(engine: AsyncEngine, revision: str = "head") -> None:
    """Upgrade, or downgrade, to `revision`.

    Args:
        engine: connects as a role that may change the schema.
        revision: `head`, `base`, a revision's name, or relative such as `-1`.

    Raises:
        sqlalchemy.exc.DBAPIError: a migration failed. Each is a transaction of its own; those
            before it stay.
        MigrationsError: the schema belongs to another release, there are several heads, or the
            database's encoding is not UTF-8.
        alembic.util.CommandError: there is no such revision.
    """
    async with _migration_lock(engine) as connection:
        before = await connection.run_sync(_revision_of)
        await connection.rollback()
        schema = compare_schema(before)
        if schema.state == "newer" and revision == "head":
            log.info("schema_newer", schema=before, release=schema.newest)
            return
        if schema.state in {"newer", "unknown"}:
            raise MigrationsError(
                f"{schema}: only a release that contains this schema can change it"
            )
        is_back = revision.startswith("-") or revision in _earlier_than(before)
        change = command.downgrade if is_back else command.upgrade
        await connection.run_sync(lambda sync: change(_config(sync), revision))
        after = await connection.run_sync(_revision_of)
    if after != before:
        log.info("migrated", before=before, after=after)


def _earlier_than(revision: str | None) -> set[str]:
    scripts = ScriptDirectory.from_config(_config()).iterate_revisions(revision, "base")
    return {"base", *(script.revision for script in scripts if script.revision != revision)}


@contextmanager
def _concurrently() -> Iterator[None]:
    """Run statements outside a transaction and without a lock timeout: CREATE INDEX CONCURRENTLY
    waits for earlier transactions, which may take long and blocks no query."""
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        yield
        op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")


def create_index(name: str, definition: str, *, unique: bool = False) -> None:
    """Migration operation: build an index without blocking reads and writes of the table.

    Args:
        name: of the index.
        definition: the SQL after the name, such as `ON users (created_at)`.
        unique: whether it enforces uniqueness.
    """
    kind = "UNIQUE INDEX" if unique else "INDEX"
    with _concurrently():
        # An interrupted attempt leaves an index that is invalid and still maintained.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"CREATE {kind} CONCURRENTLY {name} {definition}")


def replace_index(name: str, definition: str, *, unique: bool = False) -> None:
    """Migration operation: build an index again by `definition`, while the old one is used."""
    create_index(f"{name}_new", definition, unique=unique)
    drop_index(name)
    op.execute(f"ALTER INDEX {name}_new RENAME TO {name}")


def drop_index(name: str) -> None:
    """Migration operation: drop an index without blocking reads and writes of the table."""
    with _concurrently():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")

"""Schema migrations: one process at a time, without blocking queries; and operations on indexes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alembic import command, op
from app.core.config import ROOT
from app.database import locks
from app.database.schema_state import MigrationsError, compare_schema, revision_of

log = structlog.get_logger("app.migrations")

LOCK_TIMEOUT = "5s"
"""Longest wait of a migration for a lock: every query queues behind a waiting one."""
_TRY_LOCK = text(f"SELECT pg_try_advisory_lock({locks.MIGRATION})")


def _config(connection: Connection | None = None) -> Config:
    config = Config(ROOT / "alembic.ini")
    config.attributes["connection"] = connection
    return config


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
        MigrationsError: the schema belongs to another release, there are several heads or no such
            revision, or the database's encoding is not UTF-8.
    """
    async with _migration_lock(engine) as connection:
        before = await connection.run_sync(revision_of)
        await connection.rollback()
        schema = compare_schema(before)
        if schema.state == "newer" and revision == "head":
            log.info("schema_newer", schema=before, release=schema.newest)
            return
        if schema.state in {"newer", "unknown"}:
            raise MigrationsError(
                f"{schema}: only a release that contains this schema can change it"
            )
        try:
            is_back = revision.startswith("-") or revision in _earlier_than(before)
            change = command.downgrade if is_back else command.upgrade
            await connection.run_sync(lambda sync: change(_config(sync), revision))
        except CommandError as error:
            raise MigrationsError(str(error)) from error
        after = await connection.run_sync(revision_of)
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

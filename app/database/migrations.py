"""Bringing the schema up to date: once at a time, holding no one up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from alembic import command, op
from app.core.config import ROOT

log = structlog.get_logger("app.migrations")

LOCK_KEY = 4_862_019_173
"""Of the advisory lock that migrating processes take; any number that nobody else uses."""


def _config(connection: Connection | None = None) -> Config:
    config = Config(ROOT / "alembic.ini")
    config.attributes["connection"] = connection
    return config


def head_revision() -> str | None:
    """The newest revision that this code has."""
    return ScriptDirectory.from_config(_config()).get_current_head()


async def current_revision(engine: AsyncEngine) -> str | None:
    """The revision the database is at; None where it was never migrated."""
    async with engine.connect() as connection:
        return await connection.run_sync(
            lambda sync: MigrationContext.configure(sync).get_current_revision()
        )


@asynccontextmanager
async def _alone(engine: AsyncEngine) -> AsyncIterator[None]:
    """Hold the migration lock, so that instances starting at once migrate one after another.

    Asked for again and again instead of waited for: a statement that waits keeps a snapshot,
    for which CREATE INDEX CONCURRENTLY in the migrating process would wait in turn.
    """
    lock, unlock = (
        text(f"SELECT pg_{verb}({LOCK_KEY})") for verb in ("try_advisory_lock", "advisory_unlock")
    )
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        while not await connection.scalar(lock):  # noqa: ASYNC110  # another process tells us nothing
            await asyncio.sleep(0.2)
        try:
            yield
        finally:
            await connection.execute(unlock)


async def migrate(engine: AsyncEngine, revision: str = "head") -> None:
    """Upgrade, or downgrade, to `revision`.

    Args:
        engine: connected as a role that may change the schema.
        revision: `head`, `base`, a revision's name, or relative such as `-1`.

    Raises:
        sqlalchemy.exc.DBAPIError: a migration failed. Each is a transaction of its own; those
            before it stay.
    """
    back = revision == "base" or revision.startswith("-")
    change = command.downgrade if back else command.upgrade

    async with _alone(engine), engine.connect() as connection:
        before = await current_revision(engine)
        await connection.run_sync(lambda sync: change(_config(sync), revision))
        after = await current_revision(engine)
    if after != before:
        log.info("migrated", before=before, after=after)


def create_index(name: str, definition: str) -> None:
    """In a migration: build an index while the table is read and written as usual.

    Args:
        name: of the index.
        definition: what follows the name, such as `ON users (created_at)`.
    """
    with op.get_context().autocommit_block():
        # Waiting for transactions that began earlier holds nobody up, and may take long.
        op.execute("SET lock_timeout = 0")
        # An attempt that was interrupted leaves an index that is invalid and still maintained.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"CREATE INDEX CONCURRENTLY {name} {definition}")
        op.execute("RESET lock_timeout")


def drop_index(name: str) -> None:
    """In a migration: drop an index while the table is read and written as usual."""
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")

"""How Alembic gets at the database: by the connection it is handed, or by the settings."""

import asyncio

from sqlalchemy import Connection, text

from alembic import context
from app.core.config import get_settings
from app.database.migrations import LOCK_TIMEOUT
from app.database.schema_state import require_utf8
from app.models import User
from app.runtime import open_database

TARGET = User.metadata
NOT_IN_MODELS = {"ix_users_search"}
NOT_OURS = "pgqueuer", "audit_events_"


def is_compared(_: object, name: str | None, *__: object) -> bool:
    """The queue's tables are pgqueuer's; a test compares them with what it expects. Partitions are
    made by a job."""
    return name not in NOT_IN_MODELS and not (name or "").startswith(NOT_OURS)


def settings() -> list[str]:
    return [f"SET lock_timeout = '{LOCK_TIMEOUT}'", "SET statement_timeout = 0"]


def run(connection: Connection) -> None:
    require_utf8(connection)
    for setting in settings():
        connection.execute(text(setting))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=TARGET,
        transaction_per_migration=True,
        compare_server_default=True,
        include_object=is_compared,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()


async def connect_and_run() -> None:
    async with open_database(get_settings()) as engine, engine.connect() as connection:
        await connection.run_sync(run)


def write() -> None:
    """`alembic upgrade --sql`: a script for psql, made without a server."""
    context.configure(
        dialect_name="postgresql",
        target_metadata=TARGET,
        transaction_per_migration=True,
        literal_binds=True,
    )
    for setting in settings():
        context.execute(setting)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    write()
elif (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    asyncio.run(connect_and_run())

"""The engine, its sessions, and the one that a request uses."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import structlog
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from starlette.requests import HTTPConnection

from app.core.config import DatabaseSettings, get_settings
from app.database.connecting import connect_arguments
from app.database.disconnects import Disconnects
from app.database.pool import WatchedPool
from app.database.prepared import Driver

log = structlog.get_logger("app.database")

CLOSE_TIMEOUT = 2.0
"""Seconds that a connection may take to be closed in order."""


def get_engine(
    settings: DatabaseSettings | None = None,
    *,
    disconnects: Disconnects | None = None,
    **options: Any,
) -> AsyncEngine:
    """A new engine, which connects at first use; its owner disposes of it.

    Args:
        settings: the process's own where left out.
        disconnects: shared with the other engines of the process on the same server.
        options: override those of `create_async_engine`, such as `pool_size`.
    """
    settings = settings or get_settings().database
    address = settings.address()
    pool = {
        "pool_size": settings.pool_size,
        "max_overflow": settings.max_overflow,
        "pool_timeout": settings.pool_timeout,
        "pool_recycle": 1800,
    }
    engine = create_async_engine(
        # For traces; the driver is told by the arguments, several hosts and parameters too.
        URL.create(
            "postgresql+asyncpg", host=(address.hosts or (None,))[0], database=address.database
        ),
        module=Driver(asyncpg),  # type: ignore[no-untyped-call]
        connect_args=connect_arguments(settings),
        poolclass=WatchedPool,
        hide_parameters=True,  # they are hashes and people, and errors are logged
        **{**pool, **options},
    )
    is_direct = settings.pooler == "none" and not settings.is_pooled
    (disconnects or Disconnects()).watch(engine, is_direct=is_direct)
    return engine


def get_session_maker(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions on `engine`; objects stay readable after a commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


async def close_engine(engine: AsyncEngine) -> None:
    """Close its connections; a server that does not answer is not waited for."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await engine.dispose()
    except TimeoutError:
        log.warning("connections_abandoned", after=CLOSE_TIMEOUT)


async def ping(engine: AsyncEngine) -> None:
    """Ask the server for an answer.

    Raises:
        Exception: whatever keeps it from answering.
    """
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def has_files(engine: AsyncEngine) -> bool:
    """Whether the embedded server's data directory is there. Where it was deleted, connections
    that are open work for up to a minute more, on files that are lost."""
    async with engine.connect() as connection:
        found = text("SELECT size IS NOT NULL FROM pg_stat_file('PG_VERSION', missing_ok => true)")
        return bool(await connection.scalar(found))


async def get_db(connection: HTTPConnection) -> AsyncIterator[AsyncSession]:
    """The request's session. It connects at its first query, and what no service committed is
    rolled back when it closes."""
    async with connection.app.state.runtime.session_maker() as session:
        yield session

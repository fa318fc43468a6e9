"""The engine, the session factory and the session of a request."""

import asyncio
from collections.abc import AsyncIterator, Mapping
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
from app.database.driver import Driver, connect_arguments
from app.database.pool import WatchedPool
from app.database.servers.failover import Disconnects

log = structlog.get_logger("app.database")

CLOSE_TIMEOUT = 2.0
"""Seconds that a connection may take to be closed in order."""


def get_engine(
    settings: DatabaseSettings | None = None,
    *,
    disconnects: Disconnects | None = None,
    is_primary: bool = True,
    **options: Any,
) -> AsyncEngine:
    """A new engine, which connects at first use; the caller disposes of it.

    Args:
        settings: default: those of the process.
        disconnects: shared with the other engines of the process on the same server.
        is_primary: whether the first of several hosts is used that accepts writes, and connections
            to a server that turned read-only are replaced.
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
        # Only for traces: the driver gets hosts and parameters from `connect_args`.
        URL.create(
            "postgresql+asyncpg", host=(address.hosts or (None,))[0], database=address.database
        ),
        module=Driver(asyncpg),  # type: ignore[no-untyped-call]
        connect_args=connect_arguments(settings, is_primary=is_primary),
        poolclass=WatchedPool,
        hide_parameters=True,  # hashes and personal data, and errors are logged
        **{**pool, **options},
    )
    is_direct = is_primary and settings.pooler == "none" and not settings.is_pooled
    (disconnects or Disconnects()).watch(engine, is_direct=is_direct)
    return engine


def get_session_maker(
    engine: AsyncEngine, info: Mapping[str, Any] | None = None
) -> async_sessionmaker[AsyncSession]:
    """A session factory for `engine`; objects stay readable after a commit.

    Args:
        engine: of the primary.
        info: in `Session.info` of each session.
    """
    return async_sessionmaker(engine, expire_on_commit=False, info=dict(info or {}))


async def close_engine(engine: AsyncEngine) -> None:
    """Close the connections of `engine`, within `CLOSE_TIMEOUT`."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await engine.dispose()
    except TimeoutError:
        log.warning("connections_abandoned", after=CLOSE_TIMEOUT)


async def ping(engine: AsyncEngine) -> None:
    """Run a trivial query.

    Raises:
        Exception: any error of the connection or the query.
    """
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def has_files(engine: AsyncEngine) -> bool:
    """Whether the embedded server's data directory exists. After it was deleted, open connections
    work for up to a minute, on lost files."""
    async with engine.connect() as connection:
        found = text("SELECT size IS NOT NULL FROM pg_stat_file('PG_VERSION', missing_ok => true)")
        return bool(await connection.scalar(found))


async def get_db(connection: HTTPConnection) -> AsyncIterator[AsyncSession]:
    """The session of a request. It connects at its first query; uncommitted changes are rolled back
    when it closes."""
    async with connection.app.state.runtime.session_maker() as session:
        yield session

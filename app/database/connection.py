"""The engine, its sessions, and the one that a request uses."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from starlette.requests import HTTPConnection

from app.core.config import DatabaseSettings, get_settings
from app.core.exceptions import ServiceUnavailableException
from app.database.disconnects import watch_connections
from app.database.pool import WatchedPool
from app.database.prepared import Driver

log = structlog.get_logger("app.database")

CLOSE_TIMEOUT = 2.0
"""Seconds that a connection may take to be closed in order."""


async def _connect(*arguments: Any, **options: Any) -> Any:
    """Connect, or say 503: SQLAlchemy passes an unreachable server's OSError on as it is."""
    try:
        return await asyncpg.connect(*arguments, **options)
    except OSError as error:
        raise ServiceUnavailableException from error


def _connect_arguments(settings: DatabaseSettings) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "async_creator_fn": _connect,
        "timeout": settings.connect_timeout,
    }
    name = {"application_name": "backend-api"}
    kept = {
        "statement_timeout": str(int(settings.statement_timeout * 1000)),
        # JIT costs more than it gives on short queries, tens of milliseconds at times.
        "jit": "off",
    }
    if not settings.is_pooled:
        # Seconds; keeps idle connections alive on their way through a NAT, and ends those of a
        # worker whose machine is gone, with the locks they hold.
        alive = {"tcp_keepalives_idle": "60"}
        # A prepared statement is planned for its values each time, where it has any: one plan for
        # any search would do badly for a rare one, or for a frequent one. A pooler's are prepared
        # once each anyway.
        planned = {"plan_cache_mode": "force_custom_plan"}
        return arguments | {"server_settings": name | kept | alive | planned}
    # Each transaction may run on another of the server's connections: nothing may be kept on
    # one, neither settings nor prepared statements (decision 12). Unnamed statements replace each
    # other; a named one could only be closed where it happens not to be.
    return arguments | {
        "server_settings": name,
        "connection_class": _with_settings_in_each_transaction(kept),
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    }


def _with_settings_in_each_transaction(settings: dict[str, str]) -> type[asyncpg.Connection]:
    local = "".join(f" SET LOCAL {name} = '{value}';" for name, value in settings.items())

    class PooledConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
        """Tells the server in the message that begins the transaction: no round trip more."""

        __slots__ = ()

        async def execute(self, query: str, *args: Any, **options: Any) -> Any:
            if query.startswith("BEGIN"):
                query += local
            return await super().execute(query, *args, **options)

    return PooledConnection


def get_engine(settings: DatabaseSettings | None = None, **options: Any) -> AsyncEngine:
    """A new engine, which connects at first use; its owner disposes of it.

    Args:
        settings: the process's own where left out.
        options: override those of `create_async_engine`, such as `pool_size`.
    """
    settings = settings or get_settings().database
    pool = {
        "pool_size": settings.pool_size,
        "max_overflow": settings.max_overflow,
        "pool_timeout": settings.pool_timeout,
        "pool_recycle": 1800,
    }
    engine = create_async_engine(
        settings.dsn(),
        module=Driver(asyncpg),  # type: ignore[no-untyped-call]
        connect_args=_connect_arguments(settings),
        poolclass=WatchedPool,
        hide_parameters=True,  # they are hashes and people, and errors are logged
        **{**pool, **options},
    )
    watch_connections(engine)
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


async def get_db(connection: HTTPConnection) -> AsyncIterator[AsyncSession]:
    """The request's session. It connects at its first query, and what no service committed is
    rolled back when it closes."""
    async with connection.app.state.runtime.session_maker() as session:
        yield session

"""Databases of a test's own on the run's PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import DatabaseSettings
from app.database import close_engine, get_engine


@asynccontextmanager
async def new_database(server: str, options: str = "") -> AsyncIterator[str]:
    """An empty one, which is gone afterwards; yields its URL.

    Args:
        server: URL of another database there, past any pooler.
        options: of CREATE DATABASE.
    """
    name = f"own_{uuid4().hex}"
    await _execute(server, f"CREATE DATABASE {name} {options}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(server: str, statement: str) -> None:
    """On a connection of its own: the server may have been restarted since the last one."""
    connection = await asyncpg.connect(server)
    await connection.execute(statement)
    await connection.close()


@asynccontextmanager
async def engine_of(database: DatabaseSettings, **options: Any) -> AsyncIterator[AsyncEngine]:
    """An engine on `database`, closed afterwards; `options` are those of `get_engine`."""
    engine = get_engine(database, **options)
    try:
        yield engine
    finally:
        await close_engine(engine)

"""Databases of a test's own on the run's PostgreSQL, and servers of the developer's own."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import uuid4

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import DatabaseSettings
from app.database import close_engine, get_engine

OWN_POSTGRES, OWN_REDIS = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_REDIS_URL")
"""Servers to run the tests on, in place of embedded ones."""


@contextmanager
def own_postgres(server: str) -> Iterator[str]:
    """A new database there, for this run; the one that the URL names is left alone."""
    with ThreadPoolExecutor(1) as thread, asyncio.Runner() as runner:
        database = new_database(server)
        url: str = thread.submit(runner.run, database.__aenter__()).result()
        yield url
        thread.submit(runner.run, database.__aexit__(None, None, None)).result()


def own_redis(server: str) -> str:
    """A database there, which the tests empty: the URL's for the first process of the run, the
    following ones for the others."""
    url = make_url(server)
    number = int(url.database or 0) + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    return url.set(database=str(number)).render_as_string(hide_password=False)


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

"""Databases of a test's own on the run's PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
from sqlalchemy import make_url


@asynccontextmanager
async def new_database(server: str) -> AsyncIterator[str]:
    """An empty one, which is gone afterwards; yields its URL.

    Args:
        server: URL of another database there, past any pooler.
    """
    name = f"own_{uuid4().hex}"
    admin = await asyncpg.connect(server)
    await admin.execute(f"CREATE DATABASE {name}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()

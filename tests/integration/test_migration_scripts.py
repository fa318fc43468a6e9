"""`alembic upgrade --sql`, by reading: a script that makes what the migrations make."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import Settings
from app.database.migrations import migrate
from app.database.schema_state import current_revision, head_revision
from app.embedded import postgres
from tests.conftest import Servers
from tests.databases import engine_of, new_database
from tests.integration.test_migrations import HOME_OF_TRIGRAMS, check, schema

pytestmark = pytest.mark.direct


@pytest.fixture
async def empty(servers: Servers) -> AsyncIterator[str]:
    """The URL of an empty database."""
    async with new_database(servers.direct) as url:
        yield url


@pytest.fixture
async def engine(settings: Settings, empty: str) -> AsyncIterator[AsyncEngine]:
    told = settings.replaced(database={"url": SecretStr(empty)}).database
    async with engine_of(told, pool_size=1, max_overflow=0) as engine:
        yield engine


def script(repository: Path, *arguments: str) -> str:
    """What Alembic writes; it reaches no server."""
    written = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments, "--sql"],
        cwd=repository,
        env={
            **os.environ,
            "PYTHONPATH": str(repository),
            "DATABASE_URL": "postgresql://nobody@-/x",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert written.returncode == 0, written.stderr
    return written.stdout


def feed(url: str, statements: str) -> None:
    """Have psql run a script, as somebody would who may not run migrations."""
    psql = [str(postgres._POSTGRES_BIN / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url]
    fed = subprocess.run(psql, input=statements, capture_output=True, text=True, check=False)
    assert fed.returncode == 0, fed.stderr


@pytest.mark.parametrize("shelf", ["public", "extensions"])
async def test_a_script_makes_what_the_migrations_make(repository, engine, empty, shelf):
    async with engine.begin() as connection:
        await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {shelf}"))
    untouched = await schema(engine)

    feed(empty, script(repository, "upgrade", "head"))

    await check(engine)
    assert await current_revision(engine) == head_revision()
    async with engine.connect() as connection:
        assert await connection.scalar(text(f"SELECT ({HOME_OF_TRIGRAMS})::text")) == shelf
    made = await schema(engine)

    feed(empty, script(repository, "downgrade", f"{head_revision()}:base"))

    left = await schema(engine) - untouched
    assert {name.strip("_").removesuffix("_pkc") for _, name, *_ in left} == {"alembic_version"}
    await migrate(engine)
    assert await schema(engine) == made

"""R18: the disk of the database is full."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.core.config import Settings
from app.embedded.postgres import EmbeddedPostgres
from tests.conftest import FAST, PASSWORD, browsing, person, running

pytestmark = [pytest.mark.as_root, pytest.mark.with_namespaces]  # a file system is mounted
OFF = {"enabled": False}
SIZE = "4m"
FILL = "INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, {})"


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder whose file system holds `SIZE`."""
    with TemporaryDirectory(prefix="backend-api-disk-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", folder]
        subprocess.run(mount, check=True)
        yield Path(folder)
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def server(disk: Path) -> Iterator[str]:
    """The URL of a PostgreSQL with a tablespace `small` on the disk."""
    with TemporaryDirectory(prefix="backend-api-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        postgres = EmbeddedPostgres(place / "postgres", FAST)
        with postgres as url:
            tables = disk / "tables"
            tables.mkdir(mode=0o700)
            account = postgres._account()
            account.own(tables)
            yield url


@asynccontextmanager
async def site_on(server: str, disk: Path, settings: Settings) -> AsyncIterator[FastAPI]:
    """An application whose users are on the disk."""
    own = settings.replaced(database={"url": SecretStr(server)}, cache=OFF, limiter=OFF)
    async with running(own) as app:
        await run(server, f"CREATE TABLESPACE small LOCATION '{disk / 'tables'}'")
        await run(server, "ALTER TABLE users SET TABLESPACE small")
        await run(server, "CREATE TABLE filler (text text) TABLESPACE small")
        yield app


async def run(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def fill(url: str) -> None:
    """Insert rows, ever fewer at once, until not even one more page can be had."""
    for rows in (1000, 8):
        is_full = False
        while not is_full:
            try:
                await run(url, FILL.format(rows))
            except asyncpg.DiskFullError:
                is_full = True


async def test_r18_writes_are_503_whole_or_not_at_all_and_reads_go_on(
    server, disk, settings, capsys, record
):
    rows = [{"email": f"user{n}@example.com", "password": PASSWORD} for n in range(60)]
    count = "SELECT count(*) FROM users"
    async with site_on(server, disk, settings) as app, browsing(app) as client:
        root = await person(client, app.state.runtime, "root", is_superuser=True)
        await fill(server)
        before = await run(server, count)
        refused = await root.post("/users/bulk", json=rows)
        after = await run(server, count)
        read = await root.get("/users")
        ready = await client.get("/health/ready")
        await run(server, "DROP TABLE filler")
        mended = await root.post("/users/bulk", json=rows[:1])

    assert refused.status_code == 503
    assert refused.json()["error"] == "service_unavailable"
    assert refused.headers["retry-after"]
    assert after == before
    assert (read.status_code, ready.status_code) == (200, 200)
    assert mended.status_code == 201
    assert "service_unavailable" in capsys.readouterr().out
    record("R18", "the disk of the database is full", "writes 503, reads 200, nothing half-written")

"""What each index of the users table takes and gives: its size, a query with it and without, and
what an insert costs more because of it.

Usage: python benchmarks/indexes.py [--users 100000] [--runs 5]

Starts a PostgreSQL of its own and prints a table. An index is taken away by dropping it in a
transaction that is rolled back.
"""

import argparse
import asyncio
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from sqlalchemy import Executable, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from app.cli.seed import SEED_COLUMNS, SeedService, people
from app.core.config import load_settings
from app.core.security import PasswordHasher
from app.database import close_engine, get_engine, get_session_maker
from app.database.migrations import migrate
from app.embedded.postgres import EmbeddedPostgres
from app.models import User
from app.repositories.user.repository import UserRepository

INSERTED = 2_000
"""Users in one measured insert, 500 a statement."""
_REPOSITORY = UserRepository(AsyncSession())  # it only builds queries
_NUMBERS = count(100_000_000)  # none of which is anybody's


def _page(**filters: Any) -> Executable:
    return _REPOSITORY.get_filtered_users(**filters).limit(50)


QUERIES: dict[str, tuple[str, Executable]] = {
    "ix_users_created_at": ("newest 50", _page()),
    "ix_users_search": ("search, 20 in a million", _page(search="12345")),
    "uq_users_email": ("first 50 by email", _page(sort_by="email", sort_order="asc")),
    "ix_users_updated_at": ("last 50 that changed", _page(sort_by="updated_at")),
    "uq_users_username_lower": ("first 50 by username", _page(sort_by="username")),
    "ix_users_superusers_created_at": (
        "newest 10 superusers",
        _REPOSITORY.get_filtered_users(is_superuser=True).limit(10),
    ),
    # Last: after what is changed for it and undone, no index alone can tell until a vacuum.
    "ix_users_is_active_created_at": ("newest 50 inactive", _page(is_active=False)),
}


SITUATIONS = {
    # Elsewhere, too, it is old accounts that are inactive: in the order they are far away.
    "ix_users_is_active_created_at": text(
        "UPDATE users SET is_active = true"
        " WHERE NOT is_active AND created_at > now() - interval '1 year'"
    )
}
"""What is made so before an index is looked at, and undone."""


@dataclass
class Measured:
    """One index.

    Attributes:
        size: bytes.
        with_it: seconds of its query, a run each; so is `without`.
        insert: seconds that `INSERTED` users take; `insert_without` the same without it.
    """

    name: str
    size: int = 0
    with_it: list[float] = field(default_factory=list)
    without: list[float] = field(default_factory=list)
    insert: list[float] = field(default_factory=list)
    insert_without: list[float] = field(default_factory=list)


async def measure(engine: AsyncEngine, runs: int) -> list[Measured]:
    """Each index in turn: first the queries, since what was inserted and undone is in their way."""
    found = [Measured(name) for name in QUERIES]
    async with engine.connect() as connection:
        await connection.execute(text("SET statement_timeout = 0"))
        await connection.commit()
        for index in found:
            size = text("SELECT pg_relation_size(cast(:name AS text)::regclass)")
            index.size = await connection.scalar(size, {"name": index.name}) or 0
            if (situation := SITUATIONS.get(index.name)) is not None:
                await connection.execute(situation)
            await _query(connection, index.name)  # for the caches
            for _ in range(runs):
                index.with_it.append(await _query(connection, index.name))
                async with connection.begin_nested() as attempt:
                    await _drop(connection, index.name)
                    index.without.append(await _query(connection, index.name))
                    await attempt.rollback()
            await connection.rollback()
        for index in found * runs:
            index.insert.append(await _insert(connection))
            await _drop(connection, index.name)
            index.insert_without.append(await _insert(connection))
    return found


async def _drop(connection: AsyncConnection, name: str) -> None:
    is_constraint = name == "uq_users_email"
    await connection.execute(
        text(f"ALTER TABLE users DROP CONSTRAINT {name}" if is_constraint else f"DROP INDEX {name}")
    )


async def _query(connection: AsyncConnection, name: str) -> float:
    began = time.perf_counter()
    (await connection.execute(QUERIES[name][1])).all()
    return time.perf_counter() - began


async def _insert(connection: AsyncConnection) -> float:
    """With what GIN puts off until a vacuum; undone."""
    rows = list(_rows())
    began = time.perf_counter()
    for batch in range(0, INSERTED, 500):
        await connection.execute(insert(User), rows[batch : batch + 500])
    await connection.execute(
        text("SELECT gin_clean_pending_list(oid) FROM pg_class WHERE relname = 'ix_users_search'")
    )
    took = time.perf_counter() - began
    await connection.rollback()
    return took


def _rows() -> Iterator[dict[str, object]]:
    first = next(islice(_NUMBERS, INSERTED, None))
    return (dict(zip(SEED_COLUMNS, row, strict=True)) for row in people(INSERTED, "", first))


async def run(postgres: str, users: int, runs: int) -> list[Measured]:
    settings = load_settings().replaced(
        database={"url": SecretStr(postgres), "statement_timeout": 600}, log={"level": "ERROR"}
    )
    engine = get_engine(settings.database)
    await migrate(engine)
    async with get_session_maker(engine)() as db:
        await SeedService(db, PasswordHasher()).seed(users, "irrelevant", lambda _: None)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        # Without, commits that need not be durable are not yet visible to everybody.
        await connection.execute(text("CHECKPOINT"))
        await connection.execute(text("VACUUM ANALYZE users"))
    try:
        return await measure(engine, runs)
    finally:
        await close_engine(engine)


def _milliseconds(times: list[float]) -> str:
    least, median, most = (
        f"{time * 1000:.2f}" for time in (min(times), statistics.median(times), max(times))
    )
    return f"{median} ({least} to {most})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5, help="of each query and insert")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="backend-api-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "postgres") as postgres:
            found = asyncio.run(run(postgres, options.users, options.runs))

    heading = f"{options.users} users, {options.runs} runs: median (least to most)"
    table = Table("index", "MiB", "query", "with, ms", "without, ms", "insert, µs", title=heading)
    for index in found:
        more = statistics.median(index.insert) - statistics.median(index.insert_without)
        table.add_row(
            index.name,
            f"{index.size / 2**20:.1f}",
            QUERIES[index.name][0],
            _milliseconds(index.with_it),
            _milliseconds(index.without),
            f"{more / INSERTED * 1e6:+.0f}",
        )
    console = Console(width=160)
    console.print(table)
    whole = statistics.median(time for index in found for time in index.insert)
    console.print(
        f"insert: what it costs more for a user, of {whole / INSERTED * 1e6:.0f} µs in all"
    )
    console.print(
        f"Python {platform.python_version()}, {platform.processor() or platform.machine()}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

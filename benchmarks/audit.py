"""How long a page of the audit trail takes, by filter, and how much an event occupies.

Usage: python -m benchmarks.audit [--events 10000000] [--runs 20]

Starts a PostgreSQL of its own, fills the partitions of a year, and prints a table. The target for
each page at ten million events is 50 ms.
"""

import argparse
import asyncio
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.security.signing import Position
from app.database import close_engine, get_engine, get_session_maker
from app.database.migrations import migrate
from app.embedded.postgres import EmbeddedPostgres
from app.repositories.audit import AuditRepository
from app.schemas.audit import Action, AuditFilters
from benchmarks.instance import settings_for

MONTHS = 12
USERS = 100_000
BUSY = 7
"""Id of an administrator who acts in one event of ten."""
PAGE = 50
FAST = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "8GB"}
_MONTH = """
    INSERT INTO audit_events (created_at, action, outcome, actor, actor_name, target, user_id,
        address, request_id, before, after)
    SELECT at,
        (CAST(:actions AS text[]))[1 + floor(power(random(), 3) * CAST(:kinds AS int))::int],
        'success',
        'user:' || CASE WHEN random() < 0.1 THEN CAST(:busy AS int) ELSE account END,
        'name' || account,
        'user:' || account, account, '192.0.2.' || account % 250, md5(n::text),
        jsonb_build_object('full_name', 'Ada ' || n),
        jsonb_build_object('full_name', 'Bob ' || n)
    FROM (
        SELECT n, 1 + floor(random() * CAST(:users AS int))::int AS account,
            CAST(:begin AS timestamptz)
            + (CAST(:end AS timestamptz) - CAST(:begin AS timestamptz))
            * n / CAST(:count AS int) AS at
        FROM generate_series(0, CAST(:count AS int) - 1) AS n
    ) AS made
"""
_SIZE = """
    SELECT sum(pg_table_size(relid)), sum(pg_indexes_size(relid))
    FROM pg_partition_tree('audit_events')
"""


def _months(now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The last twelve months, the oldest first; the last one until now."""
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begins = [first]
    for _ in range(MONTHS - 1):
        begins.append((begins[-1] - timedelta(days=1)).replace(day=1))
    begins.reverse()
    yield from zip(begins, [*begins[1:], now], strict=True)


async def _fill(engine: AsyncEngine, events: int) -> None:
    now, actions = datetime.now(UTC), [action.value for action in Action]
    for begin, end in _months(now):
        async with engine.begin() as connection:
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
            values = {"begin": begin, "end": end, "count": events // MONTHS, "users": USERS}
            values |= {"actions": actions, "kinds": len(actions), "busy": BUSY}
            await connection.execute(text(_MONTH), values)
            # What is in the default partition becomes the partition of its month.
            await connection.execute(text("SET LOCAL lock_timeout = 0"))
            await connection.execute(text("SELECT audit_partitions_ahead(2)"))
        sys.stderr.write(f"{end:%Y-%m-%d} ")
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("SET statement_timeout = 0"))
        await connection.execute(text("VACUUM ANALYZE audit_events"))
    sys.stderr.write("\n")


def _lists() -> dict[str, AuditFilters]:
    half_a_year_ago = datetime.now(UTC) - timedelta(days=180)
    rare = list(Action)[-1]
    return {
        "all": AuditFilters(),
        "a busy actor": AuditFilters(actor=f"user:{BUSY}"),
        "another actor": AuditFilters(actor="user:4711"),
        "an actor without events": AuditFilters(actor="user:0"),
        "a target": AuditFilters(target="user:4711"),
        "an account": AuditFilters(user_id=4711),
        "a frequent action": AuditFilters(action=Action.USER_CREATED),
        "a rare action": AuditFilters(action=rare),
        "before half a year ago": AuditFilters(created_to=half_a_year_ago),
        "a busy actor and a rare action": AuditFilters(actor=f"user:{BUSY}", action=rare),
        "an account, before half a year ago": AuditFilters(
            user_id=4711, created_to=half_a_year_ago
        ),
    }


async def _measure(engine: AsyncEngine, runs: int) -> Iterator[tuple[str, int, list[float]]]:
    deep = Position((datetime.now(UTC) - timedelta(days=200)).isoformat(), 1)
    measured = []
    async with get_session_maker(engine)() as db:
        events = AuditRepository(db)
        for name, filters in _lists().items():
            for place, after in (("", None), (", deep", deep)):
                taken, rows = [], 0
                for _ in range(runs + 1):
                    began = time.perf_counter()
                    page, _end = await events.page_after(filters, PAGE, after)
                    taken.append((time.perf_counter() - began) * 1000)
                    rows = len(page)
                    db.expunge_all()
                measured.append((name + place, rows, taken[1:]))
    return iter(measured)


async def _run(url: str, events: int, runs: int) -> None:
    engine = get_engine(settings_for(url).database)
    await migrate(engine)
    began = time.perf_counter()
    await _fill(engine, events)
    seconds = time.perf_counter() - began
    table = Table(title=f"{events:,} events in {MONTHS} months; {platform.platform()}")
    for heading in ("page of 50", "rows", "median, ms", "slowest, ms"):
        table.add_column(heading)
    for name, rows, taken in await _measure(engine, runs):
        table.add_row(name, str(rows), f"{statistics.median(taken):.1f}", f"{max(taken):.1f}")
    Console().print(table)
    async with engine.connect() as connection:
        rows, indexes = (await connection.execute(text(_SIZE))).one()
    Console().print(
        f"an event: {rows / events:.0f} bytes, and {indexes / events:.0f} in indexes; "
        f"{events / seconds:,.0f} events a second were written"
    )
    await close_engine(engine)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="benchmark-audit-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "postgres", FAST) as url:
            asyncio.run(_run(url, options.events, options.runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())

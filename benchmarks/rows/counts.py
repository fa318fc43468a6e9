"""P1: the counts of users, beside one pass over the table and beside loading everybody."""

import asyncio
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from itertools import count, islice

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import close_engine, get_engine, get_session_maker
from app.models import User
from app.services.dashboard import DashboardService
from app.services.user.counts import UserCountService
from benchmarks.instance import LARGEST, fill, servers, settings_for
from benchmarks.report import Figure

SMALL = 10_000
SIZES = (SMALL, *(size for size in (100_000, 1_000_000) if size < LARGEST), LARGEST)
LOADED = 10_000
"""The size up to which everybody is loaded: beyond, it only takes longer."""


async def in_one_pass(db: AsyncSession) -> None:
    """The obvious query: six counts over one reading of the table."""
    midnight = func.date_trunc("day", func.now(), "UTC")
    number = func.count()
    await db.execute(
        select(
            number,
            number.filter(User.is_active),
            number.filter(~User.is_active),
            number.filter(User.is_superuser.expression),
            number.filter(User.created_at >= midnight),
            number.filter(User.created_at > func.now() - timedelta(days=7)),
        ).select_from(User)
    )


async def by_loading_everybody(db: AsyncSession) -> None:
    """What is written first: all users, counted in Python."""
    users = (await db.scalars(select(User))).all()
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    sum(user.is_active for user in users)
    sum(user.is_superuser for user in users)
    sum(user.created_at >= midnight for user in users)
    sum(user.created_at > now - timedelta(days=7) for user in users)


async def optimized(db: AsyncSession) -> None:
    """What `DashboardService` does."""
    await DashboardService(lambda: nullcontext(db)).get_dashboard_stats_optimized()


Query = Callable[[AsyncSession], Awaitable[None]]


async def time_all(url: str, queries: Sequence[Query], runs: int) -> list[list[float]]:
    """Milliseconds of each query, in turn, and after each has run once."""
    engine = get_engine(settings_for(url).database)
    make_session = get_session_maker(engine)
    times: list[list[float]] = [[] for _ in queries]
    for run in range(runs + 1):
        for query, taken in zip(queries, times, strict=True):
            async with make_session() as db:
                began = time.perf_counter()
                await query(db)
                if run:
                    taken.append((time.perf_counter() - began) * 1000)
    await close_engine(engine)
    return times


async def peak_of(url: str, query: Query) -> float:
    """MiB that a query takes at most, in Python."""
    engine = get_engine(settings_for(url).database)
    async with get_session_maker(engine)() as db:
        await query(db)
        tracemalloc.start()
        await query(db)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    await close_engine(engine)
    return peak


INSERTS = {"a user": (1, 100), "500 users in a statement": (500, 16)}
"""What is added: users of a statement, and statements of a run."""
_NUMBERS = count(10**9)  # none of which is anybody's


async def time_inserts(url: str, users: int, statements: int, runs: int) -> list[float]:
    """How many times longer it takes to add users, committed, with the triggers that count them
    than without; a run each. The fastest of each, since the disk delays some."""
    engine = get_engine(settings_for(url).database)
    query = insert(User).returning(User.id, sort_by_parameter_order=True)  # as the service does
    ratios = []
    async with engine.connect() as connection:
        for _ in range(runs):
            taken: dict[str, list[float]] = {"origin": [], "replica": []}
            for turn in range(2 * statements):
                role = ("origin", "replica")[(turn + turn // 2) % 2]  # changes the order
                await connection.execute(text(f"SET session_replication_role = {role}"))
                await connection.commit()
                rows = [
                    {"email": f"{n}@x", "username": f"n{n}", "hashed_password": "x" * 97}
                    for n in islice(_NUMBERS, users)
                ]
                began = time.perf_counter()
                await connection.execute(query, rows)
                await connection.commit()
                taken[role].append(time.perf_counter() - began)
            ratios.append(min(taken["origin"]) / min(taken["replica"]))
        await connection.execute(text("SET session_replication_role = origin"))
        await connection.execute(text("DELETE FROM users WHERE username ~ '^n[0-9]{10}$'"))
        await connection.commit()
        await connection.invalidate()
    async with get_session_maker(engine)() as db:
        await UserCountService(db).recount()
    await close_engine(engine)
    return ratios


def measure(runs: int) -> Iterator[Figure]:
    peaks, times = {}, {}
    with servers() as own:
        for users in SIZES:
            url = fill(own, users)
            queries: list[Query] = [optimized, in_one_pass]
            if users <= LOADED:
                queries.append(by_loading_everybody)
            taken, one_pass, *loaded = asyncio.run(time_all(url, queries, runs))
            peaks[users], times[users] = asyncio.run(peak_of(url, optimized)), taken
            yield Figure("P1", f"statistics, {users:,} users", taken, "ms")
            faster = [before / after for before, after in zip(one_pass, taken, strict=True)]
            yield Figure("P1", f"times faster than in one pass, {users:,}", faster)
            for alternative in loaded:
                faster = [before / after for before, after in zip(alternative, taken, strict=True)]
                name = f"times faster than loading everybody, {users:,}"
                yield Figure("P1", name, faster, least=20.0)
        for name, (users, statements) in INSERTS.items():
            ratios = asyncio.run(time_inserts(fill(own, SMALL), users, statements, runs))
            yield Figure("P1", f"adding {name}, with counting by without", ratios, most=1.15)
    largest = SIZES[-1]
    by_smallest = [late / early for early, late in zip(times[SMALL], times[largest], strict=True)]
    yield Figure("P1", f"statistics, {largest:,} users by {SMALL:,}", by_smallest, most=3.0)
    growth = peaks[largest] / peaks[SMALL]
    name = f"memory at {largest:,} users by that at {SMALL:,}"
    yield Figure("P1", name, [growth], most=1.1, note=f"{peaks[largest] * 1024:.0f} KiB")

"""P1: the counts of users, beside one pass over the table and beside loading everybody."""

import asyncio
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import close_engine, get_engine, get_session_maker
from app.models import User
from app.services.dashboard import DashboardService
from benchmarks.instance import fill, servers, settings_for
from benchmarks.report import Figure

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LOADED = 10_000
"""The size up to which everybody is loaded: beyond, it only takes longer."""


async def in_one_pass(db: AsyncSession) -> None:
    """The obvious query: six counts over one reading of the table."""
    midnight = func.date_trunc("day", func.now(), "UTC")
    count = func.count()
    await db.execute(
        select(
            count,
            count.filter(User.is_active),
            count.filter(~User.is_active),
            count.filter(User.is_superuser.expression),
            count.filter(User.created_at >= midnight),
            count.filter(User.created_at > func.now() - timedelta(days=7)),
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


def measure(runs: int) -> Iterator[Figure]:
    peaks = {}
    with servers() as own:
        for users in SIZES:
            url = fill(own, users)
            queries: list[Query] = [optimized, in_one_pass]
            if users <= LOADED:
                queries.append(by_loading_everybody)
            taken, one_pass, *loaded = asyncio.run(time_all(url, queries, runs))
            peaks[users] = asyncio.run(peak_of(url, optimized))
            most = 50.0 if users == 100_000 else None
            yield Figure("P1", f"statistics, {users:,} users", taken, "ms", most=most)
            faster = [before / after for before, after in zip(one_pass, taken, strict=True)]
            least = 5.0 if users == 1_000_000 else None
            yield Figure("P1", f"times faster than in one pass, {users:,}", faster, least=least)
            for times in loaded:
                faster = [before / after for before, after in zip(times, taken, strict=True)]
                least = 20.0 if users == 10_000 else None
                name = f"times faster than loading everybody, {users:,}"
                yield Figure("P1", name, faster, least=least)
    growth = peaks[SIZES[-1]] / peaks[SIZES[0]]
    name = "memory at 1,000,000 users by that at 1,000"
    yield Figure("P1", name, [growth], most=1.1, note=f"{peaks[SIZES[-1]] * 1024:.0f} KiB")

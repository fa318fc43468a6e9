"""Figures that superusers see: the pool's, at the moment they are asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.database import pool_usage
from app.runtime import Runtime

DATABASE = "/metrics/database"


@asynccontextmanager
async def connected(runtime: Runtime, count: int) -> AsyncIterator[None]:
    """Hold `count` connections of the pool."""
    connections = [await runtime.engine.connect() for _ in range(count)]
    try:
        yield
    finally:
        for connection in connections:
            await connection.close()


async def test_the_pool_is_told_in_exactly_five_figures(root):
    response = await root.get(DATABASE)

    assert response.status_code == 200
    assert list(response.json()) == [
        "pool_size",
        "checked_in",
        "checked_out",
        "overflow",
        "total_connections",
    ]
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("held", [0, 1, 4, 5, 6, 14])
async def test_no_figure_is_negative_and_the_total_adds_up(root, runtime, held):
    await root.get(DATABASE)
    async with connected(runtime, held):
        figures = (await root.get(DATABASE)).json()

    assert figures["checked_out"] == held
    assert figures["pool_size"] == runtime.settings.database.pool_size == 5
    assert figures["overflow"] == max(0, held - 5)
    assert figures["total_connections"] == figures["checked_in"] + figures["checked_out"]
    assert all(figure >= 0 for figure in figures.values())


async def test_what_was_handed_back_shows_at_once(root, runtime):
    await root.get(DATABASE)
    async with connected(runtime, 7):
        during = (await root.get(DATABASE)).json()
    after = (await root.get(DATABASE)).json()

    assert (during["checked_out"], during["overflow"]) == (7, 2)
    assert (after["checked_out"], after["overflow"]) == (0, 0)
    assert after["checked_in"] == 5


async def test_it_answers_while_the_pool_is_exhausted(root, runtime):
    pool = runtime.settings.database
    await root.get(DATABASE)
    async with connected(runtime, pool.pool_size + pool.max_overflow):
        async with asyncio.timeout(pool.pool_timeout / 2):
            response = await root.get(DATABASE)

    assert response.status_code == 200
    assert response.json()["checked_out"] == pool.pool_size + pool.max_overflow
    assert response.json()["overflow"] == pool.max_overflow


async def test_who_waits_for_a_connection_is_counted_and_who_waited_in_vain(client, runtime):
    pool = runtime.settings.database
    before = pool_usage(runtime.engine).timeouts
    async with connected(runtime, pool.pool_size + pool.max_overflow):
        waiters = [asyncio.create_task(_ask(runtime)) for _ in range(3)]
        await asyncio.sleep(pool.pool_timeout / 2)
        waiting = pool_usage(runtime.engine).waiting
        outcomes = await asyncio.gather(*waiters, return_exceptions=True)

    usage = pool_usage(runtime.engine)
    assert waiting == 3
    assert all(isinstance(outcome, PoolTimeoutError) for outcome in outcomes)
    assert usage.waiting == 0
    assert usage.timeouts == before + 3


async def _ask(runtime: Runtime) -> None:
    async with runtime.engine.connect() as connection:
        await connection.execute(text("SELECT 1"))

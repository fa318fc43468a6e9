"""Statements that only read: whatever ends them, their connection goes back."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.database import Reads, pool_usage
from tests.polling import within_async

ENDLESS = "SELECT pg_sleep(600)"


@pytest.fixture
def reads(runtime) -> Reads:
    return Reads(runtime.engine, runtime.settings.database)


async def at_work(runtime, reads: Reads) -> asyncio.Task[Any]:
    """A read that has reached the server."""
    task = asyncio.create_task(reads.rows(text(ENDLESS)))
    running = text(
        "SELECT count(*) FROM pg_stat_activity WHERE query = :query AND state = 'active'"
        " AND datname = current_database()"
    )

    async def is_running() -> bool:
        async with runtime.engine.connect() as connection:
            return bool(await connection.scalar(running, {"query": ENDLESS}))

    assert await within_async(20, is_running)
    return task


async def test_values_are_bound_to_parameters(reads):
    rows = await reads.rows(text("SELECT CAST(:name AS text)"), {"name": "'; --"})

    assert rows == [("'; --",)]


async def test_a_connection_is_held_no_longer_than_the_statement(runtime, reads):
    await reads.rows(text("SELECT 1"))

    assert pool_usage(runtime.engine).checked_out == 0


@pytest.mark.direct
@pytest.mark.parametrize("times", [1, 2])
async def test_a_read_that_is_cancelled_hands_its_connection_back(runtime, reads, times):
    task = await at_work(runtime, reads)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task

    assert pool_usage(runtime.engine).checked_out == 0
    assert await reads.rows(text("SELECT 1")) == [(1,)]


async def test_a_read_that_fails_hands_its_connection_back(runtime, reads):
    with pytest.raises(DBAPIError):
        await reads.rows(text("SELECT 1 / 0"))

    assert pool_usage(runtime.engine).checked_out == 0
    assert await reads.rows(text("SELECT 1")) == [(1,)]

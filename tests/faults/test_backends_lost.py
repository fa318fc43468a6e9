"""R4: backends terminated under load; and a primary that is one no more."""

import asyncio
import time

import asyncpg
import pytest
from sqlalchemy import text

from tests.conftest import Person
from tests.faults.conftest import Site
from tests.polling import within_async

pytestmark = pytest.mark.alone

TERMINATE = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE application_name = 'backend-api'"
)


async def change(site: Site, admin: Person, n: int) -> int:
    name = {"full_name": f"Admin {n}"}
    return (await site.ask(admin, "PATCH", "/users/me", json=name)).status_code


async def backends(connection: asyncpg.Connection) -> int:
    """How many of ours the server has."""
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'backend-api'"
    return int(await connection.fetchval(count))


async def none_is_left(connection: asyncpg.Connection) -> bool:
    """Whether all that were terminated have ended."""
    return await backends(connection) == 0


async def fill_pool(site: Site, statement: str) -> None:
    """Run `statement` on each connection that the pool keeps, and hand them back."""
    size = site.runtime.settings.database.pool_size
    connections = [await site.runtime.engine.connect() for _ in range(size)]
    for connection in connections:
        await connection.execute(text(statement))
        await connection.commit()
        await connection.close()


async def test_idle_connections_that_were_closed_cost_no_request_an_error(site, admin, record):
    await fill_pool(site, "SELECT 1")
    async with site.postgres.connected() as connection:
        killed = await connection.fetchval(TERMINATE)
        assert await within_async(10, lambda: none_is_left(connection))
    await asyncio.sleep(0.3)  # until their ends are noticed here

    answers = await asyncio.gather(*(change(site, admin, n) for n in range(10)))

    assert killed >= site.runtime.settings.database.pool_size
    assert set(answers) == {200}
    record("R4", "idle backends terminated", f"{killed} backends: {site.seen()}")


async def test_under_load_there_is_one_error_a_connection_at_most(site, admin, record):
    errors: list[float] = []
    over = asyncio.Event()

    async def visits(n: int) -> None:
        while not over.is_set():
            if n % 2:
                status = (await site.ask(admin, "GET", "/users")).status_code
            else:
                status = await change(site, admin, n)
            if status != 200:
                errors.append(time.monotonic())

    size: int = site.runtime.settings.database.pool_size
    visiting = [asyncio.create_task(visits(n)) for n in range(20)]
    async with site.postgres.connected() as connection:

        async def is_loaded() -> bool:
            return await backends(connection) >= size

        assert await within_async(10, is_loaded)
        killed = await connection.fetchval(TERMINATE)
    terminated = time.monotonic()
    await asyncio.sleep(3)
    over.set()
    await asyncio.gather(*visiting)

    assert killed >= size
    assert set(site.statuses) <= {200, 503}
    assert len(errors) <= site.connections
    assert all(error < terminated + 2 for error in errors)
    assert await site.becomes_clean(5)
    record("R4", "all backends terminated under load", f"{killed} backends: {site.seen()}")


async def test_after_a_failover_one_write_fails_and_the_next_finds_the_primary(site, admin, record):
    await fill_pool(site, "SET default_transaction_read_only = on")

    answers = [await change(site, admin, n) for n in range(10)]

    assert answers == [503] + [200] * 9
    record("R4", "all pooled connections lead to a standby", site.seen())

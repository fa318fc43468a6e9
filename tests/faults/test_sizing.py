"""What docs/OPERATIONS.md counts on: how many connections a process opens."""

import asyncio
from contextlib import suppress

import asyncpg
from pydantic import SecretStr

from tests.conftest import browsing, person, running
from tests.databases import new_database

POOL, OVERFLOW, EXPORTS, SPARE = 2, 1, 1, 1
SIZED_FOR = POOL + OVERFLOW + EXPORTS + SPARE


async def test_a_busy_process_opens_as_many_connections_as_it_is_sized_for(servers, settings):
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name <> ''"
    async with new_database(servers.direct) as url:
        database = {"url": SecretStr(url), "pooler": "none", "migration_url": None}
        small = settings.replaced(
            database={**database, "pool_size": POOL, "max_overflow": OVERFLOW},
            users={"exports_max": EXPORTS},
            cache={"enabled": False},
            limiter={"enabled": False},
        )
        watch = await asyncpg.connect(servers.direct)
        peak = 0
        async with running(small) as app, browsing(app) as visitor:
            root = await person(visitor, app.state.runtime, "root", is_superuser=True)
            paths = (
                "/users/me",
                "/auth/sessions",
                "/users",
                "/users/export",
                "/metrics/prometheus",
            )

            async def ask(path: str) -> None:
                while True:
                    await root.get(path)
                    await visitor.get("/health")

            asking = [asyncio.create_task(ask(path)) for path in paths * 4]
            for look in range(1000):
                if look > 100 and peak >= SIZED_FOR:
                    break
                peak = max(peak, await watch.fetchval(count, url.rpartition("/")[2]))
                await asyncio.sleep(0.02)
            for task in asking:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await watch.close()

    assert peak == SIZED_FOR

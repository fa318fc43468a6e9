"""R5: a pool that is exhausted, and 200 requests in flight on one worker."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.conftest import Person, browsing, person
from tests.faults.conftest import LATE, Site
from tests.polling import within_async

pytestmark = pytest.mark.alone

LONG = {"request_timeout": 20.0}


async def timed_health(visitor: httpx.AsyncClient) -> tuple[int, float]:
    """Its status, and the seconds it took."""
    began = time.monotonic()
    status = (await visitor.get("/health")).status_code
    return status, time.monotonic() - began


async def test_with_the_pool_exhausted_no_request_waits_longer_than_its_timeout(opening, record):
    async with opening(server=LONG) as site, browsing(site.app) as visitor:
        admin = await person(visitor, site.runtime, "admin", is_superuser=True)
        await admin.get("/users/me")
        async with site.postgres.users_locked():
            holding = [asyncio.create_task(admin.get("/users")) for _ in range(site.connections)]
            assert await within_async(10, site.is_full)
            waiting = [
                asyncio.create_task(site.ask(admin, "GET", "/users/cursor")) for _ in range(50)
            ]
            await asyncio.sleep(0.5)
            status, took = await timed_health(visitor)
            remembered = await admin.get("/users/me")
            refusals = await asyncio.gather(*waiting)
        served = await asyncio.gather(*holding)
        after = await admin.get("/users")

        assert {answer.status_code for answer in refusals} == {503}
        assert all(answer.headers["retry-after"] for answer in refusals)
        assert site.slowest < site.pool_timeout + LATE
        assert status == remembered.status_code == 200
        assert took < site.pool_timeout
        assert {answer.status_code for answer in (*served, after)} == {200}
        assert await site.becomes_clean(5)
        record("R5", "pool exhausted", f"{site.seen()}; /health after {took:.2f} s")


@asynccontextmanager
async def two_hundred(site: Site, admin: Person) -> AsyncIterator[list[float]]:
    """So many requests, all of them on their way within half a second: at the same instant they
    would wait for each other's arrival. Gives the seconds after which each was refused, if it was.
    """
    refused_after: list[float] = []

    async def ask(n: int) -> None:
        await asyncio.sleep(n / 400)
        began = time.monotonic()
        if (await site.ask(admin, "GET", "/users/cursor")).status_code == 503:
            refused_after.append(time.monotonic() - began)

    async with asyncio.TaskGroup() as group:
        for n in range(200):
            group.create_task(ask(n))
        await asyncio.sleep(0.6)
        yield refused_after


async def test_two_hundred_requests_in_flight(opening, record):
    async with opening(server=LONG) as site, browsing(site.app) as visitor:
        admin = await person(visitor, site.runtime, "admin", is_superuser=True)
        await visitor.get("/health")
        async with two_hundred(site, admin) as refused_after:
            status, took = await timed_health(visitor)

        assert set(site.statuses) <= {200, 503}
        assert site.statuses[200] >= site.connections
        assert max(refused_after, default=0) < site.pool_timeout + LATE
        assert status == 200
        assert took < site.pool_timeout
        assert await site.becomes_clean(5)
        record("R5", "200 requests in flight", f"{site.seen()}; /health after {took:.2f} s")


async def test_more_than_the_database_can_serve(opening, record):
    """Nobody is remembered either, so that each request needs a connection twice."""
    own = {"server": LONG, "cache": {"enabled": False}}
    async with opening(**own) as site, browsing(site.app) as visitor:
        admin = await person(visitor, site.runtime, "admin", is_superuser=True)
        await visitor.get("/health")
        site.proxy.latency = 0.05
        async with two_hundred(site, admin) as refused_after:
            status, took = await timed_health(visitor)
        site.proxy.latency = 0.0

        assert set(site.statuses) == {200, 503}
        assert site.statuses[200] >= site.connections
        assert max(refused_after) < site.pool_timeout + LATE
        assert status == 200
        assert took < site.pool_timeout
        assert await site.becomes_clean(5)
        assert (await admin.get("/users")).status_code == 200
        seen = f"{site.seen()}; the last refused after {max(refused_after):.2f} s"
        record("R5", "200 requests in flight, the database 50 ms late", seen)

"""The pool serves in order, in bounded time, and loses no place."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import Settings
from app.core.exceptions import ServiceUnavailableException
from app.core.middleware.deadline import Deadline, running_under
from app.database import get_engine, pool
from app.database.pool import pool_usage
from app.embedded.files import free_port

TIMEOUT = 1.0


@pytest.fixture
async def narrow(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An engine with a single connection."""
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": TIMEOUT}
    engine = get_engine(settings.database, **options)
    yield engine
    await engine.dispose()


@pytest.fixture
async def opened(settings: Settings) -> AsyncIterator[tuple[AsyncEngine, list[object]]]:
    """An engine that keeps one connection and may have two, and those that it opened."""
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 1, "pool_timeout": 10}
    engine = get_engine(settings.database, **options)
    connections: list[object] = []
    event.listen(engine.sync_engine, "connect", lambda made, _: connections.append(made))
    yield engine, connections
    await engine.dispose()


def places(engine: AsyncEngine) -> Any:
    pool: Any = engine.pool
    return pool._slots


async def test_a_waiting_request_is_not_overtaken(narrow):
    served = []

    async def use(name: str) -> None:
        async with narrow.connect():
            served.append(name)
            await asyncio.sleep(0)

    holder = await narrow.connect()
    waiting = [asyncio.create_task(use(name)) for name in ("first", "second")]
    await asyncio.sleep(0.05)
    await holder.close()
    await use("newcomer")
    await asyncio.gather(*waiting)

    assert served == ["first", "second", "newcomer"]


async def test_a_request_that_was_begun_is_finished_before_another_is_begun(narrow):
    served = []
    at_work = asyncio.Event()
    go_on = asyncio.Event()

    async def begun() -> None:
        with running_under(Deadline(10)):
            async with narrow.connect():
                pass
            at_work.set()
            await go_on.wait()
            async with narrow.connect():
                served.append("begun")

    async def new() -> None:
        with running_under(Deadline(10)):
            async with narrow.connect():
                served.append("new")

    tasks = [asyncio.create_task(begun())]
    await at_work.wait()
    holder = await narrow.connect()
    tasks.append(asyncio.create_task(new()))
    await asyncio.sleep(0.05)
    go_on.set()
    await asyncio.sleep(0.05)
    await holder.close()
    await asyncio.gather(*tasks)

    assert served == ["begun", "new"]


async def test_a_connection_that_comes_free_in_a_moment_saves_opening_another(opened, monkeypatch):
    monkeypatch.setattr(pool, "OPENING_DELAY", 1)
    engine, connections = opened
    holder = await engine.connect()
    waiting = asyncio.create_task(engine.connect().__aenter__())
    await asyncio.sleep(0.05)
    await holder.close()
    await (await waiting).close()

    assert len(connections) == 1


async def test_where_none_comes_free_another_is_opened_and_closed_after(opened):
    engine, connections = opened
    async with engine.connect(), engine.connect():
        during = pool_usage(engine)
    after = pool_usage(engine)

    assert len(connections) == 2
    assert (during.checked_out, during.overflow) == (2, 1)
    assert (after.total_connections, after.overflow) == (1, 0)


async def test_a_request_without_time_to_wait_opens_another_connection_at_once(opened, monkeypatch):
    monkeypatch.setattr(pool, "OPENING_DELAY", 60)
    engine, connections = opened
    async with engine.connect(), engine.connect():
        assert len(connections) == 2


async def test_a_request_waits_the_timeout_in_all_and_not_each_time(narrow):
    async def wait_in_vain() -> None:
        with pytest.raises(PoolTimeoutError):
            await narrow.connect()

    async with narrow.connect():
        with running_under(Deadline(10)):
            began = time.monotonic()
            await wait_in_vain()
            first = time.monotonic() - began
            await wait_in_vain()
            both = time.monotonic() - began

    assert first >= TIMEOUT
    assert both - first < TIMEOUT / 2


async def test_a_cancelled_waiter_hands_its_place_on(narrow):
    holder = await narrow.connect()
    goes = asyncio.create_task(narrow.connect().__aenter__())
    await asyncio.sleep(0.05)
    places(narrow).give()
    goes.cancel()
    with pytest.raises(asyncio.CancelledError):
        await goes

    assert places(narrow).take()
    await holder.close()


async def test_connections_that_fail_take_no_places(settings):
    nowhere = SecretStr(f"postgresql://postgres@127.0.0.1:{free_port()}/app")
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": TIMEOUT}
    engine = get_engine(settings.database.model_copy(update={"url": nowhere}), **options)
    for _ in range(3):
        with pytest.raises(ServiceUnavailableException):
            await engine.connect()

    assert pool_usage(engine).checked_out == 0
    assert places(engine).take()

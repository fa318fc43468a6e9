"""S13: an end that a frozen Redis, or one that refuses writes, did not take reaches it later."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from redis.asyncio import Redis

from app.core.config import Settings
from app.core.redis import CircuitBreaker, connect_redis
from app.core.redis import breaker as core_redis
from app.embedded.valkey import EmbeddedValkey
from app.runtime import Runtime
from app.services import tombstones
from app.services.tombstones import TOMBSTONE, Tombstones
from tests.conftest import Person, browsing, person, running
from tests.polling import within_async
from tests.tcp_proxy import proxied


@pytest.fixture(scope="module")
def valkey() -> Iterator[str]:
    with (
        TemporaryDirectory(prefix="backend-api-") as folder,
        EmbeddedValkey(Path(folder) / "valkey") as url,
    ):
        yield url


@pytest.fixture
async def redis(valkey: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey) as redis:
        await redis.flushall()
        yield redis


@pytest.fixture
def on_valkey(client, settings: Settings, valkey: str, impatient: None) -> Settings:
    url = {"redis_url": SecretStr(valkey)}
    return settings.replaced(cache=url, limiter=url)


@pytest.fixture
async def here(app, on_valkey: Settings) -> AsyncIterator[FastAPI]:
    async with running(on_valkey) as here:
        yield here


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A server that keeps its connections and answers nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def pid_of(redis: Redis) -> int:
    return int((await redis.info("server"))["process_id"])


def cache_of(runtime: Runtime) -> CircuitBreaker:
    assert runtime.cache is not None
    return runtime.cache


def session_key(runtime: Runtime, person: Person) -> str:
    session_id = runtime.tokens.read(person.tokens["access_token"]).session_id
    return f"myapi:cache:session:{session_id.hex}"


async def logged_out_while_frozen(runtime: Runtime, ada: Person, redis: Redis) -> None:
    """Somebody whom Redis remembers as logged in, which nobody asks when they log out."""
    assert (await ada.get("/users/me")).status_code == 200
    with frozen(await pid_of(redis)):
        while not cache_of(runtime).is_open:
            assert (await ada.get("/users/me")).status_code == 200
        assert (await ada.post("/auth/logout")).status_code == 204
        assert (await ada.get("/users/me")).status_code == 401


async def test_a_logout_while_redis_is_frozen_holds_when_it_is_back(here, on_valkey, redis):
    """S13: in the process that ended it at every moment, in others once that one is back."""
    runtime: Runtime = here.state.runtime
    async with running(on_valkey) as there, browsing(here) as client, browsing(there) as elsewhere:
        ada = await person(client, runtime, "ada")
        statuses: list[int] = []

        async def is_back() -> bool:
            statuses.append((await ada.get("/users/me")).status_code)
            return not cache_of(runtime).is_open

        await logged_out_while_frozen(runtime, ada, redis)
        assert await within_async(10, is_back)
        assert await is_back()
        kept = await redis.get(session_key(runtime, ada))
        ada.client = elsewhere
        statuses.append((await ada.get("/users/me")).status_code)

    assert set(statuses) == {401}
    assert kept == TOMBSTONE


async def test_a_demotion_while_redis_is_frozen_holds_when_it_is_back(here, redis):
    """S13: a change of a user is an end of what they might."""
    runtime: Runtime = here.state.runtime
    async with browsing(here) as client:
        root = await person(client, runtime, "root", is_superuser=True)
        eve = await person(client, runtime, "eve", is_superuser=True)
        assert (await eve.get("/users")).status_code == 200
        with frozen(await pid_of(redis)):
            while not cache_of(runtime).is_open:
                await eve.get("/users/me")
            demotion = await root.patch(f"/users/{eve.id}", json={"is_superuser": False})
            statuses = [(await eve.get("/users")).status_code]

        async def is_back() -> bool:
            statuses.append((await eve.get("/users")).status_code)
            return not cache_of(runtime).is_open

        assert await within_async(10, is_back)
        assert await is_back()

    assert demotion.status_code == 200
    assert set(statuses) == {403}
    assert await redis.get(f"myapi:cache:principal:{eve.id}") == TOMBSTONE


async def test_a_redis_that_reads_and_refuses_writes_is_not_believed(here, redis):
    """S13: one write that is refused is enough, until it is taken."""
    runtime: Runtime = here.state.runtime
    async with browsing(here) as client:
        ada = await person(client, runtime, "ada")
        assert (await ada.get("/users/me")).status_code == 200
        await redis.config_set("min-replicas-to-write", 1)
        try:
            assert (await ada.post("/auth/logout")).status_code == 204
            refused = [(await ada.get("/users/me")).status_code]
            await asyncio.sleep(2 * core_redis.PROBE_INTERVAL)
            refused.append((await ada.get("/users/me")).status_code)
            was_open = cache_of(runtime).is_open
        finally:
            await redis.config_set("min-replicas-to-write", 0)

        async def is_written() -> bool:
            is_open = cache_of(runtime).is_open
            return not is_open and await redis.get(session_key(runtime, ada)) == TOMBSTONE

        assert await within_async(10, is_written)
        refused.append((await ada.get("/users/me")).status_code)

    assert refused == [401] * 3
    assert was_open


async def test_a_process_that_stops_writes_what_is_left(app, on_valkey, redis, monkeypatch):
    """S13: it need not live until the next look whether Redis is back."""
    monkeypatch.setattr(core_redis, "PROBE_INTERVAL", 3600.0)
    async with running(on_valkey) as stopping, browsing(stopping) as client:
        runtime: Runtime = stopping.state.runtime
        ada = await person(client, runtime, "ada")
        await logged_out_while_frozen(runtime, ada, redis)
        before = await redis.get(session_key(runtime, ada))

    assert before != TOMBSTONE
    assert await redis.get(session_key(runtime, ada)) == TOMBSTONE


async def test_tombstones_that_were_dropped_delay_reads_until_they_would_expire(
    redis, valkey, monkeypatch
):
    """S13: of too many ends the oldest is dropped, and Redis not read until it is no matter."""
    monkeypatch.setattr(tombstones, "MAX_UNWRITTEN", 2)
    async with proxied(valkey) as proxy, connect_redis(proxy.url) as client:
        breaker = CircuitBreaker("cache", client, "test")
        missed = Tombstones(breaker, lifetime=2.0)
        await redis.mset(dict.fromkeys("abc", "alive"))
        proxy.close()
        for key in "abc":
            await missed.replace({key: 60})
        await proxy.open()

        async def are_written() -> bool:
            return bool(await redis.mget("b", "c") == [TOMBSTONE, TOMBSTONE])

        def is_closed() -> bool:
            return not breaker.is_open

        assert ["a" in missed, "b" in missed, "c" in missed] == [False, True, True]
        assert await within_async(1.5, are_written)
        assert breaker.is_open
        assert await redis.get("a") == b"alive"
        assert await within_async(5, is_closed)
        breaker.close()


async def test_the_recovery_of_redis_belongs_to_no_request(here, redis, logged):
    """By reading: the line bore the id of whichever request had failed."""
    runtime: Runtime = here.state.runtime
    async with browsing(here) as client:
        ada = await person(client, runtime, "ada")
        limiter = runtime.hits._breaker
        assert limiter is not None
        with frozen(await pid_of(redis)):
            while not limiter.is_open:
                await ada.get("/users/me")

        async def is_back() -> bool:
            return not limiter.is_open

        assert await within_async(10, is_back)

    lines = [line for line in logged() if line["event"] == "redis_is_back"]
    assert lines
    assert not any("request_id" in line for line in lines)


async def test_a_probe_outlives_whatever_goes_wrong(here, redis, monkeypatch):
    """S13: a fault of another kind while it looks does not keep the breaker open for good."""
    runtime: Runtime = here.state.runtime
    breaker = cache_of(runtime)
    asked = 0

    async def faulty() -> bool:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise RuntimeError("the transport is gone")
        return False

    breaker.before_closing.append(faulty)
    breaker.open("for the test")

    def is_closed() -> bool:
        return not breaker.is_open

    assert await within_async(10, is_closed)
    assert asked == 3

"""Keys of cached answers, and their stores."""

import asyncio
from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Query
from fastapi_cache import FastAPICache

from app.core.cache import (
    CacheMode,
    Entry,
    MemoryStore,
    ResultCache,
    Unkeyed,
    cache,
    invalidate_cache,
)
from app.core.cache.stores import MAX_IN_MEMORY
from app.core.exceptions import ServiceUnavailableException
from tests.conftest import browsing


class Kind(StrEnum):
    PLAIN = "plain"
    FANCY = "fancy"


class Service:
    """What an endpoint depends on and no answer does."""


@pytest.fixture
def app() -> Iterator[FastAPI]:
    """An application whose cache is the process's memory."""
    with ResultCache(MemoryStore(), "test").as_current():
        yield FastAPI()


async def test_every_parameter_is_part_of_the_key(app: FastAPI):

    @app.get("/{number}")
    @cache(expire=60)
    async def echo(
        number: int,
        service: Annotated[Service, Depends(Service), Unkeyed("has no state")],
        kind: Kind = Kind.PLAIN,
        day: date | None = None,
        words: Annotated[str, Query(max_length=20)] = "",
    ) -> list[str]:
        return [str(number), kind, str(day), words]

    paths = [
        "/1",
        "/2",
        "/1?kind=fancy",
        "/1?day=2026-01-02",
        "/1?words=a",
        "/1?words=a%27,kind%3D",
        "/1?words=None",
    ]
    async with browsing(app) as client:
        first = [await client.get(path) for path in paths]
        second = [await client.get(path) for path in paths]

    assert {response.headers["X-FastAPI-Cache"] for response in first} == {"MISS"}
    assert {response.headers["X-FastAPI-Cache"] for response in second} == {"HIT"}
    assert [r.json() for r in first] == [r.json() for r in second]
    assert len({response.text for response in first}) == len(paths)


@pytest.mark.parametrize(
    "annotation", [Service, dict[str, int], Annotated[Service, Depends(Service)], Service | None]
)
def test_unsupported_cache_key_parameters_are_refused_at_definition(annotation):
    async def endpoint(value) -> None: ...

    endpoint.__annotations__["value"] = annotation

    with pytest.raises(TypeError, match="endpoint: value cannot be part of a cache key"):
        cache(expire=60)(endpoint)


async def test_a_request_may_ask_for_a_fresh_response(app: FastAPI):
    calls = 0

    @app.get("/")
    @cache(expire=60)
    async def count() -> int:
        nonlocal calls
        calls += 1
        return calls

    async with browsing(app) as client:
        bodies = [(await client.get("/")).json() for _ in range(2)]
        fresh = await client.get("/", headers={"Cache-Control": "no-cache"})
        after = await client.get("/")
        apart = await client.get("/", headers={"Cache-Control": "no-store"})
        last = await client.get("/")

    assert bodies == [1, 1]
    assert (fresh.json(), after.json()) == (2, 2)
    assert (apart.json(), last.json()) == (3, 2)


async def test_a_response_in_memory_expires():
    store = MemoryStore()

    await store.set("short", b"1", 0, "mark", None)
    await store.set("long", b"2", 60, "mark", None)

    assert await store.get("short", "long") == [None, b"2"]


async def test_memory_is_bounded():
    store = MemoryStore()

    for n in range(MAX_IN_MEMORY + 1):
        await store.set(str(n), b"", 60, "mark", None)

    assert await store.get("0", str(MAX_IN_MEMORY)) == [None, b""]


async def one() -> bytes:
    return b"1"


async def test_a_pattern_clears_what_it_matches():
    answers = ResultCache(MemoryStore(), "test")

    for key in ("stats:", "total:a", "total:b"):
        await answers.get_or_compute(key, 60, one)

    assert await answers.invalidate("total:*") == 2
    assert await answers.invalidate("*") == 1


async def test_an_entry_has_the_seconds_for_which_it_is_valid():
    on, off = ResultCache(MemoryStore(), "test"), ResultCache(None, "test")

    assert await on.get_or_compute("key", 60, one) == (b"1", 60, False)
    assert await on.get_or_compute("key", 60, one) == (b"1", 60, True)
    assert await off.get_or_compute("key", 60, one) == (b"1", 0, False)


@pytest.mark.parametrize("store", [MemoryStore(), None])
async def test_only_if_cached_computes_nothing(store):
    answers = ResultCache(store, "test")

    with pytest.raises(ServiceUnavailableException):
        await answers.get_or_compute("key", 60, one, CacheMode.ONLY_IF_CACHED)
    await answers.get_or_compute("key", 60, one)

    if store is not None:
        found = await answers.get_or_compute("key", 60, one, CacheMode.ONLY_IF_CACHED)
        assert found == (b"1", 60, True)


class Counter:
    """A service with a cached method."""

    def __init__(self) -> None:
        self.calls = 0

    @cache(expire=60)
    async def count(self, step: int = 1) -> int:
        self.calls += step
        return self.calls


async def test_a_method_is_cached_by_its_parameters_and_invalidated_by_its_name(app):
    counter = Counter()

    bodies = [(await counter.count(step)).body for step in (1, 1, 10, 10)]
    bodies.append((await counter.count(step=1)).body)
    await invalidate_cache("count:*")
    bodies.append((await counter.count()).body)

    assert bodies == [b"1", b"1", b"11", b"11", b"1", b"12"]


async def test_the_last_cache_opened_is_the_current_one_until_it_is_closed(app):
    counter = Counter()
    with ResultCache(MemoryStore(), "other").as_current():
        await counter.count()
        inside = await invalidate_cache("count*")

    outside = await invalidate_cache("count*")

    assert (inside, outside) == (1, 0)


async def test_the_next_caller_computes_after_a_failure():
    answers = ResultCache(MemoryStore(), "test")
    calls = 0

    async def compute() -> bytes:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls == 1:
            raise LookupError
        return b"%d" % calls

    outcomes = await asyncio.gather(
        *(answers.get_or_compute("key", 60, compute) for _ in range(10)), return_exceptions=True
    )

    assert calls == 2
    assert isinstance(outcomes[0], LookupError)
    assert outcomes[1] == Entry(b"2", 60, is_hit=False)
    assert outcomes[2:] == [Entry(b"2", 60, is_hit=True)] * 8


async def test_the_next_caller_computes_after_a_cancellation():
    answers = ResultCache(MemoryStore(), "test")
    forever = asyncio.Event()

    async def compute() -> bytes:
        await forever.wait()
        return b"late"

    async def compute_at_once() -> bytes:
        return b"at once"

    leader = asyncio.create_task(answers.get_or_compute("key", 60, compute))
    await asyncio.sleep(0)
    waiter = asyncio.create_task(answers.get_or_compute("key", 60, compute_at_once))
    await asyncio.sleep(0)
    leader.cancel()

    assert (await asyncio.wait_for(waiter, 1)).body == b"at once"


async def test_a_waiting_caller_that_is_cancelled_affects_no_other():
    answers = ResultCache(MemoryStore(), "test")
    ready = asyncio.Event()

    async def compute() -> bytes:
        await ready.wait()
        return b"1"

    tasks = [asyncio.create_task(answers.get_or_compute("key", 60, compute)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    ready.set()

    assert (await tasks[0]).body == (await tasks[2]).body == b"1"


async def test_the_library_reads_and_clears_the_same_answers(app: FastAPI):
    backend = FastAPICache.get_backend()
    await backend.set("profile:1", b"{}", 60)
    await backend.set("list:", b"[]")

    ttl, body = await backend.get_with_ttl("profile:1")
    deleted = await FastAPICache.clear("profile")

    assert (0 < ttl <= 60, body) == (True, b"{}")
    assert deleted == 1
    assert [await backend.get("profile:1"), await backend.get("list:")] == [None, b"[]"]
    assert await FastAPICache.clear() == 1


async def test_a_cache_that_is_switched_off_stores_nothing():
    with ResultCache(None, "test").as_current():
        await FastAPICache.get_backend().set("list:", b"[]")

        assert await FastAPICache.get_backend().get_with_ttl("list:") == (0, None)
        assert await FastAPICache.clear() == 0

"""Keys of remembered answers, and where they are kept."""

import asyncio
from datetime import date
from enum import StrEnum
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Query

from app.core.cache import AnswerCache, MemoryStore, Unkeyed, cache
from app.core.cache.stores import MAX_IN_MEMORY
from tests.conftest import browsing


class Kind(StrEnum):
    PLAIN = "plain"
    FANCY = "fancy"


class Service:
    """What an endpoint depends on and no answer does."""


class Runtime:
    """As much of a runtime as the decorator asks for."""

    def __init__(self, answers: AnswerCache) -> None:
        self.answers = answers


def app_with(answers: AnswerCache) -> FastAPI:
    app = FastAPI()
    app.state.runtime = Runtime(answers)
    return app


@pytest.fixture
def answers() -> AnswerCache:
    return AnswerCache(MemoryStore(), "test")


async def test_every_parameter_is_part_of_the_key(answers):
    app = app_with(answers)

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
def test_what_can_be_no_part_of_a_key_is_refused_when_the_route_is_made(annotation):
    async def endpoint(value) -> None: ...

    endpoint.__annotations__["value"] = annotation

    with pytest.raises(TypeError, match="endpoint: value can be no part of a cache key"):
        cache(expire=60)(endpoint)


async def test_a_request_may_ask_for_a_fresh_answer(answers):
    app = app_with(answers)
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


async def test_an_answer_in_memory_ends_with_its_time():
    store = MemoryStore()

    await store.set("short", b"1", 0, "mark", None)
    await store.set("long", b"2", 60, "mark", None)

    assert await store.get("short", "long") == [None, b"2"]


async def test_memory_is_bounded():
    store = MemoryStore()

    for n in range(MAX_IN_MEMORY + 1):
        await store.set(str(n), b"", 60, "mark", None)

    assert await store.get("0", str(MAX_IN_MEMORY)) == [None, b""]


async def test_a_pattern_clears_what_it_matches():
    answers = AnswerCache(MemoryStore(), "test")

    async def compute() -> bytes:
        return b"1"

    for key in ("stats:", "total:a", "total:b"):
        await answers.remember(key, 60, compute)

    assert await answers.invalidate("total:*") == 2
    assert await answers.invalidate("*") == 1


async def test_whoever_remembers_is_told_for_how_long():
    async def compute() -> bytes:
        return b"1"

    kept, off = AnswerCache(MemoryStore(), "test"), AnswerCache(None, "test")

    assert await kept.remember("key", 60, compute) == (60, b"1")
    assert await off.remember("key", 60, compute) == (0, b"1")


async def test_where_the_one_who_computes_fails_the_next_one_does():
    answers = AnswerCache(MemoryStore(), "test")
    calls = 0

    async def compute() -> bytes:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls == 1:
            raise LookupError
        return b"%d" % calls

    outcomes = await asyncio.gather(
        *(answers.remember("key", 60, compute) for _ in range(10)), return_exceptions=True
    )

    assert calls == 2
    assert isinstance(outcomes[0], LookupError)
    assert outcomes[1:] == [(60, b"2")] * 9


async def test_where_the_one_who_computes_is_cancelled_the_next_one_does():
    answers = AnswerCache(MemoryStore(), "test")
    forever = asyncio.Event()

    async def compute() -> bytes:
        await forever.wait()
        return b"late"

    async def compute_at_once() -> bytes:
        return b"at once"

    leader = asyncio.create_task(answers.remember("key", 60, compute))
    await asyncio.sleep(0)
    waiter = asyncio.create_task(answers.remember("key", 60, compute_at_once))
    await asyncio.sleep(0)
    leader.cancel()

    assert (await asyncio.wait_for(waiter, 1)).body == b"at once"


async def test_whoever_stops_waiting_disturbs_nobody():
    answers = AnswerCache(MemoryStore(), "test")
    ready = asyncio.Event()

    async def compute() -> bytes:
        await ready.wait()
        return b"1"

    tasks = [asyncio.create_task(answers.remember("key", 60, compute)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    ready.set()

    assert (await tasks[0]).body == (await tasks[2]).body == b"1"

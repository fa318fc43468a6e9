"""Answers are compressed for who asks for it, and for nobody else."""

import gzip
import json
from collections.abc import AsyncIterator
from time import thread_time
from timeit import timeit

import httpx
import pytest
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send

from app.core.middleware.compression import GZip, prefers_gzip
from tests.conftest import browsing

LARGE = "/openapi.json"


@pytest.fixture
async def raw(app) -> AsyncIterator[httpx.AsyncClient]:
    """Sends no `Accept-Encoding` of its own."""
    async with browsing(app) as client:
        del client.headers["Accept-Encoding"]
        yield client


async def coding(client: httpx.AsyncClient, *accepted: str) -> str | None:
    """How a large answer comes; whichever way, it is the document, and caches are told."""
    headers = [("Accept-Encoding", value) for value in accepted]
    async with client.stream("GET", LARGE, headers=headers) as response:
        body = b"".join([part async for part in response.aiter_raw()])
    found: str | None = response.headers.get("Content-Encoding")
    assert json.loads(gzip.decompress(body) if found else body)["openapi"]
    assert response.headers["Vary"] == "Accept-Encoding"
    assert int(response.headers["Content-Length"]) == len(body)
    return found


@pytest.mark.parametrize(
    "accepted",
    [
        *("gzip", "GZip", "x-gzip", "*", "gzip, deflate, br, zstd", "br;q=1.0, gzip;q=0.8"),
        *("gzip;q=0.001", "gzip ; q=1", "deflate,\tgzip;Q=1.000", "identity;q=0.5, *", "*;q=0.1"),
        *("gzip, identity", "identity;q=0, gzip", "nonsense;;, gzip", ",,gzip,"),
    ],
)
async def test_gzip_where_it_is_accepted(raw, accepted):
    """C10"""
    assert await coding(raw, accepted) == "gzip"


@pytest.mark.parametrize(
    "accepted",
    [
        *("gzip;q=0", "gzip;q=0.000", "identity, gzip;q=0", "notgzip", "gzipped", "gzip-x", ""),
        *("*;q=0", "gzip;q=0, *", "identity", "identity, gzip;q=0.5", "*;q=0.5, identity"),
        *("identity;q=0, gzip;q=0", "br", "gzip;q=2", "gzip;q=a", "gzip;level=9", "gzip gzip"),
        *("gzip;q=0.0001", "gzip," * 20_000),
    ],
)
async def test_no_compression_where_gzip_is_not_accepted(raw, accepted):
    """C10"""
    assert await coding(raw, accepted) is None


async def test_the_header_may_be_missing_or_come_twice(raw):
    """C10"""
    assert await coding(raw) is None
    assert await coding(raw, "br", "gzip") == "gzip"
    assert await coding(raw, "gzip;q=0", "br") is None


async def test_a_small_response_is_not_compressed(raw):
    """C10"""
    response = await raw.get("/health/live", headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in response.headers
    assert "Vary" not in response.headers


async def test_it_takes_no_longer_than_starlettes_own():
    """C10: on the way of each request, and so measured beside what it stands for."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    async def nowhere(*_: object) -> None:
        pass

    headers = [(b"host", b"test"), (b"accept", b"*/*"), (b"accept-encoding", b"gzip, deflate, br")]
    scope = {"type": "http", "headers": headers}
    ours = GZip(app, minimum_size=1024, level=5)
    theirs = GZipMiddleware(app, 1024, 5, exclude_content_types=("text/event-stream",))

    def seconds(middleware: GZip | GZipMiddleware) -> float:
        def once() -> None:
            running = middleware({**scope}, nowhere, nowhere)  # type: ignore[arg-type]
            try:
                running.send(None)
            except StopIteration:
                return

        return timeit(once, timer=thread_time, number=200)

    # In turn, so that whatever else the machine does meets both alike.
    rounds = [(seconds(ours), seconds(theirs)) for _ in range(60)]
    our_least, their_least = map(min, zip(*rounds, strict=True))

    assert our_least < 1.5 * their_least


def test_cached_header_values_are_bounded():
    """C10"""
    for number in range(1_000):
        prefers_gzip(f"x{number}".encode())

    assert prefers_gzip.cache_info().currsize == 256

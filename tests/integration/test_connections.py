"""What a client does to a connection before, beside and after a request, on a real server."""

import asyncio
import json
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app.embedded.files import free_port
from app.server import http_protocol
from app.server.admission import Admission
from app.server.http_protocol import (
    DISCARD_TIMEOUT,
    HEAD_TIMEOUT,
    MAX_HEAD,
    MAX_PIPELINED,
    BoundedProtocol,
)
from tests.conftest import PASSWORD, Servers, person
from tests.process import Instance, instance
from tests.wire import Answer, answer, connected, head

TOKEN = "scrape-token-scrape-token-scrape-token"
REQUEST_TIMEOUT = 10
LOGIN = "POST /api/v1/auth/login"
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def site(servers: Servers, app: object) -> Iterator[Instance]:
    with (
        TemporaryDirectory(prefix="backend-api-") as folder,
        instance(
            servers,
            Path(folder),
            LOG_LEVEL="DEBUG",
            SERVER_REQUEST_TIMEOUT=str(REQUEST_TIMEOUT),
            TELEMETRY_SCRAPE_TOKEN=TOKEN,
        ) as site,
    ):
        yield site


async def dripping(url: str, first: bytes, drop: bytes, every: float) -> tuple[bytes, float]:
    """Send `first`, then `drop` again and again; what came back, and seconds until the end."""
    async with connected(url) as (reader, writer):
        began = time.monotonic()
        writer.write(first)

        async def drip() -> None:
            with suppress(ConnectionError):
                while drop:
                    await asyncio.sleep(every)
                    writer.write(drop)
                    await writer.drain()

        task = asyncio.create_task(drip())
        with suppress(ConnectionError):
            received = await asyncio.wait_for(reader.read(), 60)
        task.cancel()
        return received, time.monotonic() - began


def so_far(site: Instance) -> int:
    """Characters of the log, once the lines of earlier requests are there."""
    time.sleep(0.2)
    return len(site.log.read_text())


def lines(site: Instance, since: int = 0) -> list[dict[str, object]]:
    time.sleep(0.2)  # the service gathers lines for a moment, and writes them in a thread
    return [
        json.loads(line) for line in site.log.read_text()[since:].splitlines() if line[:1] == "{"
    ]


async def refused(site: Instance, reason: str) -> float:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        figures = (await client.get(f"{site.url}/api/v1/metrics/prometheus")).text
    name = f'http_requests_refused_total{{reason="{reason}"}} '
    return sum(float(line.split()[-1]) for line in figures.splitlines() if line.startswith(name))


def in_shape(answer: Answer, status: int, error: str) -> None:
    assert answer.status == status
    body = json.loads(answer.body)
    assert set(body) == {"error", "message", "details", "request_id"}
    assert body["error"] == error
    assert body["request_id"] == answer.headers["x-request-id"]


async def test_a_header_that_never_ends_takes_no_memory_and_is_a_431(site):
    """S10: 200 MB were taken."""
    process = psutil.Process(site.process.pid)
    before = process.memory_info().rss
    before_refused = await refused(site, "head_too_large")

    async with connected(site.url) as (reader, writer):
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: test\r\nX-Long: ")
        with suppress(ConnectionError):
            for _ in range(200):
                writer.write(b"a" * 1_000_000)
                await writer.drain()
        in_shape(await answer(reader), 431, "request_header_fields_too_large")

    assert process.memory_info().rss - before < 16 * 1024 * 1024
    assert await refused(site, "head_too_large") == before_refused + 1


@pytest.mark.parametrize(
    "headers",
    [
        [f"X-{number}: 1" for number in range(200)],
        ["Cookie: " + "a=b; " * (MAX_HEAD // 5)],
        ["X-Long: " + "a" * MAX_HEAD],
    ],
    ids=["many", "cookies", "long"],
)
async def test_a_head_that_is_too_large_is_a_431_and_ends_the_connection(site, headers):
    """S10."""
    async with connected(site.url) as (reader, writer):
        writer.write(head("GET /health/live", *headers))
        got = await answer(reader, time.monotonic())

    in_shape(got, 431, "request_header_fields_too_large")
    assert got.seconds < DISCARD_TIMEOUT + 2


@pytest.mark.parametrize("requests", [0, 1], ids=["first", "later"])
async def test_a_head_that_comes_in_one_piece_and_does_not_end_is_a_431(site, requests):
    """S10: the bytes of the read that began a head were not counted."""
    async with connected(site.url) as (reader, writer):
        for _ in range(requests):
            writer.write(head("GET /health/live"))
            assert (await answer(reader)).status == 200
        writer.write(head("GET /health/live", "X-Long: " + "a" * MAX_HEAD)[:-4])
        got = await answer(reader, time.monotonic())

    in_shape(got, 431, "request_header_fields_too_large")
    assert got.seconds < DISCARD_TIMEOUT + 2


async def test_a_long_path_is_a_431_and_a_shorter_one_an_ordinary_refusal(site):
    """S10."""
    async with connected(site.url) as (reader, writer):
        writer.write(head(f"GET /{'a' * MAX_HEAD}"))
        assert (await answer(reader)).status == 431
    async with connected(site.url) as (reader, writer):
        writer.write(head(f"GET /{'a' * (MAX_HEAD - 1000)}"))
        assert (await answer(reader)).status == 404


async def test_silent_and_slow_connections_are_ended(site):
    """S10: they were kept for ever. All at once, since each takes its time."""
    live = head("GET /health/live")
    post = head(LOGIN, JSON, "Content-Length: 1000")
    early = head("POST /nothing", JSON, "Content-Length: 100000")
    slow = {
        "silent": dripping(site.url, b"", b"", 0),
        "blank lines": dripping(site.url, b"", b"\r\n", 1),
        "head": dripping(site.url, b"GET / HTTP/1.1\r\nHost: test\r\nX: ", b"a", 1),
        "second head": dripping(site.url, live + b"GET / HTTP/1.1\r\nX: ", b"a", 1),
        "blank lines after a response": dripping(site.url, live, b"\r\n", 1),
        "body": dripping(site.url, post, b" ", 1),
        "body of an answered request": dripping(site.url, early, b" ", 1),
    }

    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(work) for name, work in slow.items()}
        half_open = [group.create_task(dripping(site.url, b"", b"", 0)) for _ in range(500)]
    ended = {name: task.result() for name, task in tasks.items()}

    seconds = {name: seconds for name, (_, seconds) in ended.items()}
    assert max(seconds.values()) < max(HEAD_TIMEOUT, REQUEST_TIMEOUT) + 3, seconds
    assert max(task.result()[1] for task in half_open) < HEAD_TIMEOUT + 3
    assert seconds["body of an answered request"] < DISCARD_TIMEOUT + 2
    assert ended["head"][0].startswith(b"HTTP/1.1 408 ")
    assert b'"error": "request_timeout"' in ended["head"][0]
    assert b"HTTP/1.1 408 " in ended["second head"][0]
    assert ended["body"][0].startswith(b"HTTP/1.1 408 ")
    assert b'"error":"body_timeout"' in ended["body"][0]
    assert ended["silent"][0] == ended["blank lines"][0] == b""
    assert not [line for line in lines(site) if line.get("status") in {500, 503, 504}]


async def test_a_connection_serves_on_once_the_body_of_a_refused_request_is_there(site):
    """S10: such a connection was never closed for idleness."""
    body = b" " * 2_000_000
    async with connected(site.url) as (reader, writer):
        writer.write(head(LOGIN, JSON, f"Content-Length: {len(body)}"))
        assert (await answer(reader)).status == 413
        writer.write(body + head("GET /health/live"))
        await writer.drain()

        assert (await answer(reader)).status == 200


async def test_pipelined_requests_are_answered_in_order(site):
    async with connected(site.url) as (reader, writer):
        writer.write(head("GET /health/live") + head("GET /nothing") + head("GET /health/live"))

        assert [(await answer(reader)).status for _ in range(3)] == [200, 404, 200]


UPGRADE = "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"


async def test_an_upgrade_to_h2c_is_ignored_without_a_word(site):
    """C12: each was two warnings in the log."""
    since = so_far(site)
    async with connected(site.url) as (reader, writer):
        writer.write(head("GET /health/live", *UPGRADE, "X-Request-ID: h2c"))
        got = await answer(reader, time.monotonic())

    assert got.status == 200
    # Of this request alone: the line of the one before may come late.
    mine = [line["event"] for line in lines(site, since) if line.get("request_id") == "h2c"]
    assert mine == ["request"]


async def test_an_upgrade_with_a_body_is_a_400(site):
    """C12: the body was passed over, and its fields were said to be missing."""
    content = b'{"email": "a@example.com", "password": "x"}'
    async with connected(site.url) as (reader, writer):
        writer.write(head(LOGIN, JSON, f"Content-Length: {len(content)}", *UPGRADE) + content)

        in_shape(await answer(reader, time.monotonic()), 400, "bad_request")


async def test_a_websocket_handshake_is_a_request_like_any_other_and_its_token_is_not_logged(site):
    """C12, S14: with LOG_LEVEL=DEBUG the bearer token was in the log."""
    since = so_far(site)
    async with connected(site.url) as (reader, writer):
        writer.write(
            head(
                "GET /api/v1/nothing",
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                "Authorization: Bearer the-secret-of-a-handshake",
            )
        )
        got = await answer(reader, time.monotonic())

    in_shape(got, 404, "not_found")
    assert "the-secret-of-a-handshake" not in site.log.read_text()
    (line,) = lines(site, since)
    assert (line["path"], line["status"]) == ("/api/v1/nothing", 404)


async def test_a_client_that_leaves_in_its_body_is_no_error_and_spends_no_limit(
    site, client, runtime
):
    """C13."""
    ada = await person(client, runtime, "ada")
    since = so_far(site)
    for _ in range(6):
        async with connected(site.url) as (_, writer):
            writer.write(head(LOGIN, JSON, "Content-Length: 1000") + b'{"email": ')
            await writer.drain()
    await asyncio.sleep(0.5)

    assert {(line["event"], line["level"], line["status"]) for line in lines(site, since)} == {
        ("request", "info", 499)
    }
    async with httpx.AsyncClient(base_url=site.url) as browser:
        login = {"email": ada.email, "password": PASSWORD}
        assert (await browser.post("/api/v1/auth/login", json=login)).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        head(LOGIN, JSON, "Transfer-Encoding: chunked") + b"ZZ\r\n",
        head(LOGIN, JSON, "Content-Length: 1", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        head("GET / ", "X: a\x00b"),
    ],
    ids=["garbage", "version", "tls", "path", "chunk", "smuggling", "nul"],
)
async def test_what_is_no_http_is_a_400_in_the_one_shape_counted_and_not_logged(site, sent):
    """C35, S1: it was text/plain, and a warning in the log each."""
    since, before = so_far(site), await refused(site, "malformed")
    async with connected(site.url) as (reader, writer):
        writer.write(sent)
        got = await answer(reader, time.monotonic())

    in_shape(got, 400, "bad_request")
    assert got.headers["connection"] == "close"
    assert await refused(site, "malformed") == before + 1
    assert {line["event"] for line in lines(site, since)} == {"request"}


CHUNKED = head(LOGIN, JSON, "Transfer-Encoding: chunked")
TRAILERS = {
    "many": (b"0\r\n", b"A: b\r\n" * 10_000),
    "one without end": (b"0\r\nX: ", b"a" * 60_000),
    "a chunk extension without end": (b"1;", b"a" * 60_000),
}


@pytest.mark.parametrize(("begun", "more"), TRAILERS.values(), ids=TRAILERS)
async def test_bytes_after_a_body_take_no_memory(site, begun, more):
    """S10: trailers came past every bound of headers, 39 MB of them as 900 MB of memory."""
    process = psutil.Process(site.process.pid)
    before = process.memory_info().rss
    async with connected(site.url) as (reader, writer):
        writer.write(CHUNKED + begun)
        with suppress(ConnectionError):
            for _ in range(200):
                writer.write(more)
                await writer.drain()
        assert (await answer(reader)).status in {400, 431}

    assert process.memory_info().rss - before < 16 * 1024 * 1024


@pytest.mark.parametrize("trailer", ["X-Forwarded-For: 192.0.2.9", "X-Request-ID: forged"])
async def test_a_trailer_is_refused_and_no_header(site, trailer):
    """S10: it was taken for a header after the headers had been checked."""
    content = b'{"email": "a@example.com", "password": "x"}'
    body = b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(content), content, trailer.encode())
    async with connected(site.url) as (reader, writer):
        writer.write(CHUNKED + body)
        in_shape(await answer(reader), 400, "bad_request")

    assert "forged" not in site.log.read_text()
    assert "192.0.2.9" not in site.log.read_text()


@pytest.mark.parametrize("size", [100, 60_000, 1_000_000])
async def test_a_body_in_small_chunks_or_large_reads_is_read(site, size):
    content = b'{"email": "a@example.com", "password": "x"}' + b" " * size
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in content[:70_000])
    rest = content[70_000:]
    last = b"%x\r\n%b\r\n" % (len(rest), rest) if rest else b""
    async with connected(site.url) as (reader, writer):
        writer.write(CHUNKED + chunks + last + b"0\r\n\r\n")
        assert (await answer(reader)).status in {401, 429}


async def test_a_body_compressed_on_its_way_is_a_415(site):
    async with connected(site.url) as (reader, writer):
        writer.write(
            head(LOGIN, JSON, "Transfer-Encoding: gzip, chunked") + b"2\r\n{}\r\n0\r\n\r\n"
        )

        assert (await answer(reader)).status == 415


async def test_more_requests_at_once_than_may_wait_end_the_connection(site):
    """S10: 13,000 in one packet held up the event loop for 0.26 s."""
    since = so_far(site)
    async with connected(site.url) as (reader, writer):
        writer.write(head("GET /nothing") * 10_000)
        with suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 10)
    await asyncio.sleep(0.2)

    found = lines(site, since)
    assert len(found) <= MAX_PIPELINED + 1
    assert {line["level"] for line in found} <= {"info"}


async def test_a_reset_amid_many_responses_is_no_error(site):
    """S10: it was a traceback in the log."""
    since = so_far(site)
    port = int(site.url.rpartition(":")[2])
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", port))
        client.sendall(head("GET /openapi.json") * MAX_PIPELINED)
        await asyncio.sleep(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await asyncio.sleep(1)

    assert {line["level"] for line in lines(site, since)} <= {"info"}


async def test_a_client_that_reads_nothing_is_let_go(monkeypatch):
    """S10: where it had asked for more than one answer, its connection was kept for ever."""
    monkeypatch.setattr(http_protocol, "WRITE_TIMEOUT", 0.5)

    async def large(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(20):
            await send({"type": "http.response.body", "body": b"a" * 10**6, "more_body": True})
        await send({"type": "http.response.body"})

    bounded: Any = partial(BoundedProtocol, admission=Admission(10, 10, 1024))
    config = uvicorn.Config(large, http=bounded, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as door, socket.socket() as client:
        serving = asyncio.create_task(server._serve([door]))
        client.connect(door.getsockname())
        client.sendall(head("GET /") * 3)
        await asyncio.sleep(0.3)
        assert len(server.server_state.connections) == 1
        await asyncio.sleep(1)

        assert len(server.server_state.connections) == 0
        server.should_exit = True
        await serving


async def test_a_stream_whose_client_has_left_already_is_not_counted():
    """Each would have raised the limit on requests by one."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def streaming(scope: Scope, _receive: Receive, _send: Send) -> None:
        begun.set()
        await asyncio.sleep(0.2)
        scope["state"]["release_place"]()
        ended.set()

    admission = Admission(10, 10, 1024)
    bounded: Any = partial(BoundedProtocol, admission=admission)
    config = uvicorn.Config(streaming, http=bounded, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as door:
        serving = asyncio.create_task(server._serve([door]))
        _, writer = await asyncio.open_connection(*door.getsockname())
        writer.write(head("GET /"))
        await begun.wait()
        writer.transport.abort()
        await ended.wait()
        server.should_exit = True
        await serving

    assert admission.streaming == 0


async def test_a_head_that_begins_in_the_packet_of_another_request_has_its_own_timeout(site):
    """S10: it had 75 s."""
    received, seconds = await dripping(
        site.url, head("GET /health/live") + b"GET / HTTP/1.1\r\nX: ", b"", 0
    )

    assert seconds < HEAD_TIMEOUT + 3
    assert b"HTTP/1.1 408 " in received


def test_uvicorn_by_itself_has_the_same_bounds(servers, app, tmp_path):
    """S10: `uvicorn main:app` is a way to run it, too."""

    async def attack(url: str) -> Answer:
        async with connected(url) as (reader, writer):
            writer.write(head("GET /health/live", "X: " + "a" * MAX_HEAD))
            return await answer(reader)

    port = free_port()
    command = sys.executable, "-m", "uvicorn", "main:app", "--port", str(port)
    with instance(servers, tmp_path, port, command=command) as served:
        in_shape(asyncio.run(attack(served.url)), 431, "request_header_fields_too_large")

"""S1: whatever clients do wrong, the proxy of deploy/ goes on using both instances."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.faults import proxied
from tests.faults.proxied import ProxiedSite, traffic
from tests.polling import within_async

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
BadClient = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HOST = b"Host: 127.0.0.1\r\n"
POST = b"POST /api/v1/auth/refresh HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST
GET = b"GET /api/v1/users/me HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
MEGABYTE = 1 << 20

shared, site = proxied.shared, proxied.site  # the fixtures
visitor, ada = proxied.visitor, proxied.ada


async def connected(site: ProxiedSite) -> Connection:
    address = urlsplit(site.url)
    return await asyncio.open_connection(address.hostname, address.port)


def reset(writer: asyncio.StreamWriter) -> None:
    """Have the connection end by RST, as when a process is killed or a phone leaves the network."""
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()


def sending(*parts: bytes, resets: bool = False) -> BadClient:
    """A client that sends this, a little later that, and leaves after an answer or a moment."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
        if resets:
            reset(writer)
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(65536), 0.5)

    return run


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of HTTP/2: RFC 9113, section 4.1."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


async def resetting_streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP/2 client that opens streams and takes them back at once, some amid the body."""
    path = b"/api/v1/auth/refresh"
    headers = b"\x83\x86\x04" + bytes([len(path)]) + path + b"\x01\x09127.0.0.1"  # POST by http
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
    for stream in range(1, 40, 2):
        writer.write(frame(1, 4, stream, headers))
        if stream % 4 == 1:
            writer.write(frame(0, 0, stream, b'{"refresh_'))
        await writer.drain()
        await asyncio.sleep(0.005)
        writer.write(frame(3, 0, stream, struct.pack(">I", 8)))  # CANCEL
    await writer.drain()
    assert await reader.read(9)  # the proxy speaks HTTP/2


BAD_CLIENTS = {
    "chunk size ZZ": sending(POST + CHUNKED + b"ZZ\r\n{}\r\n0\r\n\r\n"),
    "chunk size ZZ later": sending(POST + CHUNKED, b'2\r\n{"\r\n', b"ZZ\r\n"),
    "chunk size ZZ in a GET": sending(GET + CHUNKED + b"ZZ\r\n{}\r\n"),
    "leaves amid a body": sending(POST + b"Content-Length: 1000\r\n\r\n", b"0123456789"),
    "leaves amid a body by RST": sending(
        POST + b"Content-Length: 1000\r\n\r\n", b"0123456789", resets=True
    ),
    "leaves amid a chunk": sending(POST + CHUNKED, b"3E8\r\n0123456789", resets=True),
    "leaves amid a GET's body": sending(GET + b"Content-Length: 1000\r\n\r\n", b"0", resets=True),
    "sends a body slowly": sending(POST + b"Content-Length: 1000\r\n\r\n", *[b"0"] * 40),
    "wants no answer": sending(GET + b"\r\n", resets=True),
    "sends huge headers": sending(GET + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n"),
    "sends a huge body": sending(
        POST + b"Content-Length: %d\r\n\r\n" % (3 * MEGABYTE) + b"0" * MEGABYTE
    ),
    "sends a huge body in chunks": sending(
        POST + CHUNKED + (b"80000\r\n" + b"0" * (MEGABYTE // 2) + b"\r\n") * 4
    ),
    "asks by no method": sending(
        b"FOO / HTTP/1.1\r\n" + HOST + b"Content-Length: 500000\r\n\r\n" + b"0" * 500_000
    ),
    "says what is no HTTP": sending(b"GARBAGE\r\n\r\n"),
    "upgrades and leaves": sending(
        GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        resets=True,
    ),
    "resets streams of HTTP/2": resetting_streams,
}


async def barrage(site: ProxiedSite, bad: BadClient, clients: int = 40, at_once: int = 8) -> None:
    """So many of these clients, some at the same time."""
    free = asyncio.Semaphore(at_once)

    async def run() -> None:
        async with free:
            reader, writer = await connected(site)
            try:
                await bad(reader, writer)
            except ConnectionError:
                pass  # the proxy need not hear it out
            finally:
                writer.close()

    await asyncio.gather(*(run() for _ in range(clients)))


@pytest.mark.parametrize("kind", BAD_CLIENTS)
async def test_a_clients_own_fault_counts_against_no_instance(site, ada, kind):
    """S1."""
    returns = site.returns()

    async with traffic(ada, writing=True) as statuses:
        await barrage(site, BAD_CLIENTS[kind])
        before = site.served("/api/v1/users/me")

        def both_go_on() -> bool:
            after = site.served("/api/v1/users/me")
            return all(after[port] > before[port] for port in site.instances)

        assert await within_async(3, both_go_on)

    assert set(statuses) == {200}
    assert site.returns() == returns  # neither had been marked down meanwhile


async def answer_to(site: ProxiedSite, *parts: bytes) -> bytes:
    """What the proxy says to this, until it closes the connection."""
    reader, writer = await connected(site)
    with suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
    try:
        return await asyncio.wait_for(reader.read(65536), 10)
    finally:
        writer.close()


async def test_a_read_with_a_broken_body_is_passed_on_once_at_most(site):
    """S1: fifty retries for one such request would be fifty times the load."""
    path = f"/nothing/{uuid4().hex}"

    await answer_to(site, f"GET {path} HTTP/1.1\r\n".encode() + HOST + CHUNKED + b"ZZ\r\n{}\r\n")
    await asyncio.sleep(0.5)

    assert site.served(path).total() <= 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (POST + CHUNKED + b"ZZ\r\n{}\r\n", 502),
        (POST + CHUNKED + (b"80000\r\n" + b"0" * (MEGABYTE // 2) + b"\r\n") * 4, 413),
        (POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % (MEGABYTE + 1), 413),
    ],
    ids=["broken", "too large, in chunks", "too large, as announced"],
)
async def test_the_proxys_errors_have_the_shape_of_the_service(site, request_, status):
    """S1: what the proxy refuses by itself looks like any other refusal."""
    head, _, rest = (await answer_to(site, request_)).partition(b"\r\n\r\n")
    # What is left of a broken body may be answered as a request of its own.
    error, _ = json.JSONDecoder().raw_decode(rest.decode())

    assert head.split()[1] == str(status).encode()
    assert set(error) == {"error", "message", "details", "request_id"}
    assert f"x-request-id: {error['request_id']}".encode() in head.lower()


async def test_headers_past_64_kilobytes_reach_no_instance(site):
    """S1: the proxy bounds what it can."""
    path = f"/nothing/{uuid4().hex}"
    line = f"GET {path} HTTP/1.1\r\n".encode() + HOST

    refused = await answer_to(site, line + b"X-Long: " + b"a" * 65_536 + b"\r\n\r\n")

    assert refused.split()[1] == b"431"
    assert site.served(path).total() == 0

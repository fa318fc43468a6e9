"""Requests and responses on a plain socket, byte by byte."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple


class Answer(NamedTuple):
    """The first response on a connection; `seconds` until the server closed the connection."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


@asynccontextmanager
async def connected(
    url: str,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def head(first: str, *headers: str) -> bytes:
    return "\r\n".join([f"{first} HTTP/1.1", "Host: test", *headers, "", ""]).encode()


async def answer(reader: asyncio.StreamReader, began: float | None = None) -> Answer:
    """Read a response; where `began` is given, on to the end of the connection."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    if began is not None:
        with suppress(ConnectionError):
            await reader.read()
    return Answer(int(lines[0].split()[1]), headers, body, time.monotonic() - (began or 0))

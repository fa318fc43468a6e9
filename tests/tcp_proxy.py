"""A TCP proxy that the tests put before a server, to make the way to it bad."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from sqlalchemy import make_url

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""`SO_LINGER` with no time to linger: a close sends RST, as a firewall or a reboot would."""


def target(url: str) -> tuple[str, int]:
    """Host and port of a URL that has both."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


class TcpProxy:
    """Passes everything on, late where it is told to, holds everything back, or is closed.

    Args:
        url: of the server behind it.

    Attributes:
        target: host and port of the server; may change, for a server that comes back elsewhere.
        latency: seconds by which each part of an answer comes later.
        round_trips: of all connections; what a client sends before an answer arrives is one.
    """

    def __init__(self, url: str) -> None:
        self.target = target(url)
        self._url = url
        self.latency = 0.0
        self.round_trips = 0
        self._port = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> None:
        """Listen on a free loopback port; on the same port again after `close`."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """The server's URL, by way of the proxy."""
        way = make_url(self._url).set(host="127.0.0.1", port=self._port)
        return way.render_as_string(hide_password=False)

    @property
    def is_open(self) -> bool:
        return self._server.is_serving()

    def freeze(self) -> None:
        """Accept and keep connections, and let nothing through: a black hole."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let through what was held back, and all that follows."""
        self._flowing.set()

    def close(self) -> None:
        """Refuse connections, and cut those there are."""
        self._server.close()
        self.cut()
        self.thaw()

    def cut(self) -> None:
        """Reset every connection there is, and accept new ones."""
        for writer in self._writers:
            if not writer.is_closing():
                end = writer.get_extra_info("socket")
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            writer.transport.abort()
        self._writers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        if not self.is_open:  # meanwhile
            writer.transport.abort()
            there_writer.transport.abort()
            return
        self._writers += [writer, there_writer]
        answered = asyncio.Event()
        answered.set()

        async def ask() -> None:
            self.round_trips += answered.is_set()
            answered.clear()

        async def answer() -> None:
            answered.set()
            if self.latency:
                await asyncio.sleep(self.latency)

        await asyncio.gather(
            self._pump(reader, there_writer, ask), self._pump(there_reader, writer, answer)
        )

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        before_part: Callable[[], Awaitable[None]],
    ) -> None:
        try:
            while part := await reader.read(65536):
                await before_part()
                await self._flowing.wait()
                writer.write(part)
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[TcpProxy]:
    """An open proxy before the server of `url`. It is closed whatever fails in the block: uvloop
    waits without end for a server that was left open."""
    proxy = TcpProxy(url)
    await proxy.open()
    try:
        yield proxy
    finally:
        proxy.close()

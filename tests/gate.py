"""A TCP proxy that the tests put before a server, to make the way to it bad."""

import asyncio


def target(url: str) -> tuple[str, int]:
    """Host and port of a URL that has both."""
    host, port = url.rpartition("@")[2].partition("/")[0].split(":")
    return host, int(port)


class Gate:
    """Passes everything on, holds everything back, or is shut.

    Args:
        host: of the server behind it.
        port: of the same.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = host, port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> int:
        """Listen on a free loopback port, which is returned."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def freeze(self) -> None:
        """Accept and keep connections, and let nothing through: a black hole."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let through what was held back, and all that follows."""
        self._flowing.set()

    def shut(self) -> None:
        """Refuse connections, and cut those there are."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self.thaw()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self.target)
        self._writers += [writer, there_writer]
        await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while part := await reader.read(65536):
                await self._flowing.wait()
                writer.write(part)
        except OSError:
            pass
        finally:
            writer.close()

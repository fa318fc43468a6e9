"""A list of breached passwords, on a real HTTP server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha1


class RangeApi:
    """Answers with what the test says, by default that no password is known.

    Attributes:
        requests: their heads.
        asked: set from the first request on.
        body: of the answers; None holds them back.
        status: of the answers.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.asked = asyncio.Event()
        self.body: bytes | None = b""
        self.status = 200
        self.url = ""

    def answer(self, *rows: str) -> None:
        """Answer with these rows, and one of another password."""
        self.body = "\r\n".join((f"{'0' * 35}:7", *rows)).encode()

    def know(self, password: str, count: int = 3) -> None:
        self.answer(f"{digest_of(password)[5:]}:{count}")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            self.asked.set()
            if self.body is None:
                await reader.read()  # until the client gives up
                return
            length = f"Content-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
            writer.write(f"HTTP/1.1 {self.status} Some\r\n{length}".encode() + self.body)
            await writer.drain()
        except OSError:
            pass  # the client has gone
        finally:
            writer.close()


def digest_of(password: str) -> str:
    return sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


@asynccontextmanager
async def range_api() -> AsyncIterator[RangeApi]:
    api = RangeApi()
    api.answer()
    server = await asyncio.start_server(api.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    api.url = f"http://127.0.0.1:{port}/range"
    async with server:
        yield api

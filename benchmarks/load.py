"""Load on a server over kept connections, each of which asks again once it has its answer."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import cast

import uvloop


@dataclass
class Load:
    """What was answered.

    Attributes:
        seconds: that it took.
        latencies: seconds from each question to the end of its answer.
        statuses: how many answers had each.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def quantile(self, percent: int) -> float:
        """Seconds within which so many of a hundred were answered."""
        return statistics.quantiles(self.latencies, n=100)[percent - 1]

    def expect(self, *statuses: int) -> "Load":
        """This, if all answers had one of `statuses`.

        Raises:
            RuntimeError: some had another, so that something else was measured.
        """
        if others := set(self.statuses) - set(statuses):
            raise RuntimeError(f"answered {sorted(others)}: {self.statuses}")
        return self


def get(path: str, token: str | None = None) -> bytes:
    """A request as it is sent."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n{authorization}\r\n".encode()


def post(path: str, body: bytes, token: str | None = None) -> bytes:
    """One with a JSON body."""
    head = get(path, token).removesuffix(b"\r\n").replace(b"GET", b"POST", 1)
    return b"%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        head,
        len(body),
        body,
    )


class _Connection(asyncio.Protocol):
    """Asks, waits for the answer, and asks the next."""

    def __init__(
        self, requests: Iterator[bytes], moments: Iterator[float], load: Load, until: float
    ) -> None:
        self._requests = requests
        self._moments = moments
        self._load = load
        self._until = until
        self._buffer = b""
        self._asked = 0.0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # TCP's is one
        self._ask()

    def _ask(self) -> None:
        # Where there is a pace, from the moment that it was due: no delay hides the next one.
        self._asked = next(self._moments)
        if self._asked >= self._until:
            self._transport.close()
        elif (early := self._asked - time.perf_counter()) > 0:
            asyncio.get_running_loop().call_later(early, self._send)
        else:
            self._send()

    def _send(self) -> None:
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._buffer = b""
        self._load.latencies.append(time.perf_counter() - self._asked)
        self._load.statuses[int(head[9:12])] += 1
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)


async def apply(
    port: int, requests: list[bytes], connections: int, seconds: float, pace: float | None = None
) -> Load:
    """Ask `requests` in turn, over and over: as fast as it goes, or `pace` of them a second."""
    load, turn = Load(), cycle(requests)
    began = time.perf_counter()
    moments = (
        (began + number / pace for number in count()) if pace else iter(time.perf_counter, None)
    )
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(
            lambda: _Connection(turn, moments, load, began + seconds), "127.0.0.1", port
        )
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.ended for _, connection in made))
    load.seconds = time.perf_counter() - began
    return load


def run(
    port: int,
    requests: list[bytes],
    connections: int = 10,
    seconds: float = 3,
    pace: float | None = None,
) -> Load:
    """The same, from outside of an event loop."""
    return uvloop.run(apply(port, requests, connections, seconds, pace))

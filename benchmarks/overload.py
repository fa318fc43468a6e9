"""More requests than one worker can serve, sent in an open loop: `python -m benchmarks.overload`.

Clients come at a steady rate, however slow the answers are, each on a connection of its own, and
leave after five seconds. Beside them somebody asks for `/health/live` ten times a second.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any, cast

import httpx
import uvloop

from benchmarks.instance import Instance, application, servers
from benchmarks.load import get
from benchmarks.report import machine

USERS = 10_000
PATH = "/api/v1/users?size=20"
FACTORS = 1.1, 1.5, 2.0, 5.0
PATIENCE = 5.0
"""Seconds after which a client leaves."""
STEP = 0.005
"""Seconds between two batches of new clients."""
AT_ONCE = 32
"""Clients that measure the capacity, each of whom comes again once it has its answer."""
MAX_CLIENTS = 20_000
LIVE_EVERY = 0.1


@dataclass
class Seen:
    """What became of the clients of one run.

    Attributes:
        outcomes: by status, or `left`, `refused` and `reset` where there was no answer.
        latencies: seconds of each 200.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)


class _Client(asyncio.Protocol):
    """One request on a connection of its own."""

    def __init__(self, request: bytes, seen: Seen, began: float) -> None:
        self._request, self._seen, self._began = request, seen, began
        self._answer = b""
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # TCP's is one
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().split(b"content-length: ")[1].split(b"\r")[0]):
            self._end(head[9:12].decode())
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # asyncio's
        self._end("reset")

    def leave(self) -> None:
        self._end("left")
        self._transport.abort()

    def _end(self, outcome: str) -> None:
        if self.ended.done():
            return
        self.ended.set_result(None)
        self._seen.outcomes[outcome] += 1
        if outcome == "200":
            self._seen.latencies.append(time.monotonic() - self._began)


async def visit(port: int, request: bytes, seen: Seen) -> None:
    """Connect, ask, and wait for the answer, for five seconds in all."""
    loop, began = asyncio.get_running_loop(), time.monotonic()
    client = _Client(request, seen, began)
    try:
        async with asyncio.timeout(PATIENCE):
            await loop.create_connection(lambda: client, "127.0.0.1", port)
    except TimeoutError:
        seen.outcomes["left"] += 1
        return
    except OSError:
        seen.outcomes["refused"] += 1
        return
    timer = loop.call_later(began + PATIENCE - time.monotonic(), client.leave)
    await client.ended
    timer.cancel()


async def closed_loop(port: int, request: bytes, seconds: float) -> float:
    """Answers a second where as many clients as are served at once come again and again."""
    seen, until = Seen(), time.monotonic() + seconds

    async def come_again() -> None:
        while time.monotonic() < until:
            await visit(port, request, seen)

    await asyncio.gather(*(come_again() for _ in range(AT_ONCE)))
    if set(seen.outcomes) != {"200"}:
        raise RuntimeError(f"not every client was served: {seen.outcomes}")
    return seen.outcomes["200"] / seconds


async def open_loop(port: int, request: bytes, rate: float, seconds: float) -> Seen:
    """`rate` clients a second, however many of those before still wait."""
    seen, began, sent = Seen(), time.monotonic(), 0
    visits: set[asyncio.Task[None]] = set()
    while (passed := time.monotonic() - began) < seconds:
        for _ in range(int(passed * rate) - sent):
            sent += 1
            if len(visits) >= MAX_CLIENTS:
                seen.outcomes["not sent"] += 1
                continue
            visits.add(task := asyncio.create_task(visit(port, request, seen)))
            task.add_done_callback(visits.discard)
        await asyncio.sleep(STEP)
    await asyncio.gather(*visits)
    return seen


def _probe(port: int, ended: Any, slowest: Any) -> None:
    """Ask for /health/live in a process of its own; the slowest answer, in seconds."""
    while not ended.is_set():
        began = time.monotonic()
        try:
            httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=60).raise_for_status()
        except httpx.HTTPError:
            slowest[1] += 1
        slowest[0] = max(slowest[0], time.monotonic() - began)
        time.sleep(LIVE_EVERY)


@dataclass
class Watched:
    """What was seen of the worker beside its answers.

    Attributes:
        slowest_live: seconds of the slowest `/health/live`.
        failed_live: how many were no 200.
        memory: bytes that it had more than before, at most.
        descriptors: that it had open, at most.
    """

    slowest_live: float = 0.0
    failed_live: int = 0
    memory: int = 0
    descriptors: int = 0


@contextmanager
def watching(instance: Instance) -> Iterator[Watched]:
    """Watch the worker while the block runs."""
    seen, before, over = Watched(), instance.resident, Event()

    def look() -> None:
        while not over.wait(0.2):
            seen.memory = max(seen.memory, instance.resident - before)
            seen.descriptors = max(seen.descriptors, instance.process.num_fds())

    spawn = multiprocessing.get_context("spawn")
    ended, slowest = spawn.Event(), spawn.Array("d", 2)
    prober = spawn.Process(target=_probe, args=(instance.port, ended, slowest))
    looker = Thread(target=look)
    prober.start()
    looker.start()
    try:
        yield seen
    finally:
        ended.set()
        over.set()
        prober.join()
        looker.join()
        seen.slowest_live, seen.failed_live = slowest[0], int(slowest[1])


def recovery(instance: Instance) -> float:
    """Seconds until a request is answered within half a second again."""
    began = time.monotonic()
    headers = {"Authorization": f"Bearer {instance.token}"}
    while time.monotonic() - began < 120:
        try:
            url = f"http://127.0.0.1:{instance.port}{PATH}"
            if httpx.get(url, headers=headers, timeout=0.5).status_code == 200:
                break
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    return time.monotonic() - began


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of each rate")
    parser.add_argument("--factors", type=float, nargs="+", default=FACTORS, help="of the capacity")
    options = parser.parse_args()
    say(machine())
    with servers() as backends, application(backends, USERS) as instance:
        request = get(PATH, instance.token).replace(
            b"Host: bench\r\n", b"Host: bench\r\nConnection: close\r\n"
        )
        uvloop.run(closed_loop(instance.port, request, 3))  # until its caches are warm
        capacity = uvloop.run(closed_loop(instance.port, request, 10))
        say(f"\ncapacity: {capacity:.0f} pages of 20 users a second, one worker\n")
        say(
            "| of capacity | sent/s | 200/s | 503/s | left | reset, refused | 200: p50 | p99 "
            "| slowest live | memory | descriptors | recovered after |"
        )
        say("|---" * 12 + "|")
        for factor in options.factors:
            rate = capacity * factor
            with watching(instance) as watched:
                seen = uvloop.run(open_loop(instance.port, request, rate, options.seconds))
            recovered = recovery(instance)
            _row(factor, rate, options.seconds, seen, watched, recovered)
            time.sleep(2)


def _row(
    factor: float, rate: float, seconds: float, seen: Seen, watched: Watched, recovered: float
) -> None:
    outcomes = seen.outcomes
    quantiles = (
        statistics.quantiles(seen.latencies, n=100) if len(seen.latencies) > 1 else [0.0] * 99
    )
    lost = outcomes["reset"] + outcomes["refused"]
    cells = [
        f"{factor}",
        f"{rate:.0f}",
        f"{outcomes['200'] / seconds:.0f}",
        f"{outcomes['503'] / seconds:.0f}",
        f"{outcomes['left']}",
        f"{lost}",
        f"{quantiles[49] * 1000:.0f} ms",
        f"{quantiles[98] * 1000:.0f} ms",
        f"{watched.slowest_live:.2f} s ({watched.failed_live} failed)",
        f"{watched.memory / 2**20:+.0f} MiB",
        f"{watched.descriptors}",
        f"{recovered:.1f} s",
    ]
    say(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

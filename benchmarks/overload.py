"""More requests than one worker can serve, sent in an open loop: `python -m benchmarks.overload`.

Clients come at a steady rate, however slow the answers are, each on a connection of its own, and
leave after five seconds. Beside them, `/health/live` is asked for ten times a second.
"""

import argparse
import multiprocessing
import selectors
import socket
import statistics
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import httpx

from app.embedded.polling import within
from app.server.admission import raise_descriptor_limit
from benchmarks.instance import Instance, application, servers
from benchmarks.load import get
from benchmarks.report import machine
from tests.launcher import answers

USERS = 10_000
PATH = "/api/v1/users?size=50"
FACTORS = 1.1, 1.5, 2.0, 5.0
PATIENCE = 5.0
"""Seconds after which a client leaves."""
MOST = 15_000
"""Clients that wait at once; what a machine admits by its limit of open files is not much more."""
AT_ONCE = 32
"""Clients that measure the capacity, each of whom comes again once it has its answer."""
LIVE_EVERY = 0.1
_COLUMNS = (
    "of capacity",
    "sent/s",
    "200/s",
    "503/s",
    "left",
    "refused, reset",
    "200: p50",
    "p99",
    "slowest live",
    "memory",
    "descriptors",
    "recovered after",
)


@dataclass(slots=True)
class _Client:
    connection: socket.socket
    came: float


@dataclass
class Clients:
    """One request each, on a connection of its own, by plain sockets: the load generator has to
    leave the processors to the worker.

    Attributes:
        outcomes: by status, or `left`, `refused` and `reset` where there was no answer.
        latencies: seconds to each 200, from its connection's start.
    """

    port: int
    request: bytes
    outcomes: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._selector = selectors.EpollSelector()
        self._waiting: deque[_Client] = deque()
        self.count = 0

    def come(self, clients: int) -> None:
        """Have so many more connect."""
        self.outcomes["not sent"] += max(0, clients - (MOST - self.count))
        for _ in range(min(clients, MOST - self.count)):
            connection = socket.socket()
            connection.setblocking(False)  # noqa: FBT003  # the library's
            client = _Client(connection, time.monotonic())
            connection.connect_ex(("127.0.0.1", self.port))
            self._selector.register(connection, selectors.EVENT_WRITE, client)
            self._waiting.append(client)
            self.count += 1

    def serve(self, seconds: float) -> None:
        """Send and receive what can be, waiting so long for the first; see who leaves."""
        for key, events in self._selector.select(seconds):
            client = key.data
            try:
                if events & selectors.EVENT_WRITE:
                    client.connection.send(self.request)
                    self._selector.modify(client.connection, selectors.EVENT_READ, client)
                else:
                    self._received(client, client.connection.recv(1 << 17))
            except ConnectionRefusedError:
                self._end(client, "refused")
            except OSError:
                self._end(client, "reset")
        now = time.monotonic()
        while self._waiting and (
            now - self._waiting[0].came > PATIENCE or self._waiting[0].connection.fileno() < 0
        ):
            client = self._waiting.popleft()
            if client.connection.fileno() >= 0:
                self._end(client, "left")

    def _received(self, client: _Client, data: bytes) -> None:
        # A page is one segment of loopback's; what may follow is not waited for.
        outcome = data[9:12].decode() if data else "reset"
        if outcome == "200":
            self.latencies.append(time.monotonic() - client.came)
        self._end(client, outcome)

    def _end(self, client: _Client, outcome: str) -> None:
        self.outcomes[outcome] += 1
        self.count -= 1
        self._selector.unregister(client.connection)
        client.connection.close()


def closed_loop(port: int, request: bytes, seconds: float) -> float:
    """Answers a second where as many clients as are served at once come again and again.

    Raises:
        RuntimeError: not each of them was served.
    """
    clients, until = Clients(port, request), time.monotonic() + seconds
    while time.monotonic() < until:
        clients.come(AT_ONCE - clients.count)
        clients.serve(0.05)
    if set(+clients.outcomes) != {"200"}:
        raise RuntimeError(f"not every client was served: {clients.outcomes}")
    return clients.outcomes["200"] / seconds


def open_loop(port: int, request: bytes, rate: float, seconds: float) -> Clients:
    """`rate` clients a second, however many of those before still wait."""
    clients, began, sent = Clients(port, request), time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * rate) - sent
        clients.come(due)
        sent += due
        clients.serve(0.002)
    while clients.count:
        clients.serve(0.05)
    return clients


def _probe(port: int, ended: Any, seen: Any) -> None:
    """Ask for /health/live, in a process of its own: its slowest answer in seconds, and how many
    were no 200."""
    while not ended.is_set():
        began = time.monotonic()
        try:
            httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=60).raise_for_status()
        except httpx.HTTPError:
            seen[1] += 1
        seen[0] = max(seen[0], time.monotonic() - began)
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
    watched, before, over = Watched(), instance.resident, Event()

    def look() -> None:
        while not over.wait(0.2):
            watched.memory = max(watched.memory, instance.resident - before)
            watched.descriptors = max(watched.descriptors, instance.process.num_fds())

    spawn = multiprocessing.get_context("spawn")
    ended, seen = spawn.Event(), spawn.Array("d", 2)
    prober = spawn.Process(target=_probe, args=(instance.port, ended, seen))
    looker = Thread(target=look)
    prober.start()
    looker.start()
    try:
        yield watched
    finally:
        ended.set()
        over.set()
        prober.join()
        looker.join()
        watched.slowest_live, watched.failed_live = seen[0], int(seen[1])


def recovery(instance: Instance) -> float:
    """Seconds until a request is answered within half a second again."""
    began = time.monotonic()
    url = f"http://127.0.0.1:{instance.port}{PATH}"
    within(120, lambda: answers(url, timeout=0.5, Authorization=f"Bearer {instance.token}"))
    return time.monotonic() - began


def row(factor: float, rate: float, seconds: float, instance: Instance, request: bytes) -> str:
    """One rate, as a line of the table."""
    with watching(instance) as watched:
        clients = open_loop(instance.port, request, rate, seconds)
    recovered = recovery(instance)
    outcomes, times = clients.outcomes, clients.latencies
    quantiles = statistics.quantiles(times, n=100) if len(times) > 1 else [0.0] * 99
    cells = (
        f"{factor:g}",
        f"{rate:.0f}",
        f"{outcomes['200'] / seconds:.0f}",
        f"{outcomes['503'] / seconds:.0f}",
        f"{outcomes['left'] + outcomes['not sent']}",
        f"{outcomes['refused'] + outcomes['reset']}",
        f"{quantiles[49] * 1000:.0f} ms",
        f"{quantiles[98] * 1000:.0f} ms",
        f"{watched.slowest_live:.2f} s, {watched.failed_live} failed",
        f"{watched.memory / 2**20:+.0f} MiB",
        f"{watched.descriptors}",
        f"{recovered:.1f} s",
    )
    return f"| {' | '.join(cells)} |"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of each rate")
    parser.add_argument("--factors", type=float, nargs="+", default=FACTORS, help="of the capacity")
    options = parser.parse_args()
    raise_descriptor_limit()
    say(machine())
    with servers() as backends, application(backends, USERS) as instance:
        request = get(PATH, instance.token).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        closed_loop(instance.port, request, 3)  # until its caches are warm
        capacity = closed_loop(instance.port, request, 10)
        say(f"\ncapacity: {capacity:.0f} pages of 50 users a second, by one worker\n")
        say(f"| {' | '.join(_COLUMNS)} |")
        say("|---" * len(_COLUMNS) + "|")
        for factor in options.factors:
            say(row(factor, capacity * factor, options.seconds, instance, request))
            time.sleep(2)


if __name__ == "__main__":
    main()

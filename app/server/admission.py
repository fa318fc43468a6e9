"""Admission control: limits on requests in progress and open connections of a process (ADR 11)."""

import sys
from asyncio import Task
from collections import deque
from collections.abc import Sized
from typing import Protocol

if sys.platform != "win32":
    import resource

EXTRA_PROBES = 16
"""Probes in progress that are served beyond the limit on requests."""
MIN_OVERLOAD = 64
"""Requests in progress up to which a process is not overloaded; they keep it busy."""
TARGET_DURATION = 1.0
"""Target duration of a request, in seconds: half of the timeout for a database connection."""
RATES = 5
"""Last rates that are looked at. The first requests of many that arrive at once are answered late,
and a machine may stand still for a moment: neither is what a process can answer."""
OVERLOAD_LAG = 0.005
"""Event loop lag, in seconds, above which the processor is the bottleneck."""
MIN_IDLE = 0.25
"""Seconds that a connection is idle at least before it is closed for another: its request may be
arriving."""
OWN_DESCRIPTORS = 160
"""Descriptors of a process besides its clients' connections, with the default pools: 18 to
PostgreSQL, 72 to Redis, and files."""
MAX_DESCRIPTORS = 65_536
"""Upper bound of the descriptor limit that is requested from the system."""
MAX_SPARE = 512
"""Connections beyond the limit on connections, on which only probes are served."""


class Silent(Protocol):
    """A connection that waits for its client: for a request, or for the rest of one."""

    def give_way(self, silent: float) -> bool:
        """Close the connection in favour of a new one.

        Args:
            silent: seconds since the last data.

        Returns:
            Whether it was closed: not while its client reads an answer.
        """


class Admission:
    """Decides which requests and connections are served.

    The limit on requests is `requests`, and under overload the number of requests that the process
    answers in a second, so that none waits longer than clients do. Overload means that many
    requests are in progress and the event loop lags; if they wait for a slow database instead, the
    loop does not lag, and other requests are still served (ADR 11).

    Args:
        requests: maximum in progress. A request that waits for its body does not count: it uses no
            processor time, and slow clients could otherwise exclude all others.
        connections: maximum open. Beyond it, the connection idle for longest is closed.
        descriptors: maximum number of open files of the process.

    Attributes:
        max_spare: connections beyond the limit, on which only probes are served.
        receiving: requests that wait for more of their body.
        streaming: responses without an end, which mostly wait, and whose number is bounded by the
            application.
        answered: tasks of requests that are answered, and have yet to end. A client that has read
            its answer may send the next request before.
        probes: probes in progress beyond the limit on requests.
        silent: idle connections, the longest idle first, with the start by the event loop's clock.
    """

    def __init__(self, requests: int, connections: int, descriptors: int) -> None:
        free = max(8, descriptors - OWN_DESCRIPTORS)
        self.max_requests = requests
        self.max_connections = min(connections, free // 2)
        self.max_spare = min(MAX_SPARE, free // 4)
        self.receiving = 0
        self.streaming = 0
        self.answered: set[Task[object]] = set()
        self.probes = 0
        self.silent: dict[Silent, float] = {}
        self._limit = requests
        self._rates: deque[float] = deque(maxlen=RATES)
        self._tasks: Sized = ()
        self._connections: Sized = ()
        self._opening: Sized = ()

    def watch(self, tasks: Sized, connections: Sized = (), opening: Sized = ()) -> None:
        """Set the collections to count, which their owners change: running requests, connections,
        and connections being opened, each of which has a request."""
        self._tasks, self._connections, self._opening = tasks, connections, opening

    @property
    def in_progress(self) -> int:
        """Requests that are neither answered, nor waiting for their body, nor streaming."""
        return len(self._tasks) - self.receiving - self.streaming - len(self.answered)

    @property
    def is_full(self) -> bool:
        """Whether the number of requests in progress has reached the limit."""
        return self.in_progress >= self._limit

    @property
    def is_over(self) -> bool:
        """Whether the limit is exceeded: the bodies of many requests can arrive at once."""
        return self.in_progress > self._limit

    @property
    def admits_probe(self) -> bool:
        """Whether a probe is served although the limit is reached."""
        return self.probes < EXTRA_PROBES

    def admits_connection(self, now: float, *, is_probe: bool = False) -> bool:
        """Whether another connection is served; an idle one may be closed for it.

        Args:
            now: by the event loop's clock.
            is_probe: whether its request is known to be a probe.
        """
        opening = len(self._opening)
        is_full = self.in_progress + opening >= self._limit
        if is_full and not (is_probe and self.admits_probe):
            return False
        most = self.max_connections + (self.max_spare if is_probe else 0)
        return len(self._connections) + opening < most or self._has_given_way(now)

    def _has_given_way(self, now: float) -> bool:
        silent, since = next(iter(self.silent.items()), (None, now))
        if silent is None or now - since < MIN_IDLE:
            return False
        del self.silent[silent]
        if silent.give_way(now - since):
            return True
        self.silent[silent] = since  # moved to the end
        return False

    def adapt(self, rate: float, lag: float) -> None:
        """Adapt the limit on requests. Called four times a second.

        Args:
            rate: answered requests per second since the last call.
            lag: of the event loop, in seconds.
        """
        few = min(MIN_OVERLOAD, self.max_requests)
        if self.in_progress < few:
            self._rates.clear()
            self._limit = self.max_requests
            return
        self._rates.append(rate)
        if len(self._rates) == RATES and lag > OVERLOAD_LAG:
            answered = int(max(self._rates) * TARGET_DURATION)
            self._limit = min(max(answered, few), self.max_requests)


def raise_descriptor_limit() -> int:
    """Raise the limit on open files as far as the system permits, and return it."""
    if sys.platform == "win32":
        return MAX_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted

"""Bounds on what a process serves at once: requests in progress and open connections (ADR 11)."""

import sys
from collections.abc import Sized
from typing import Protocol

if sys.platform != "win32":
    import resource

PROBES = 16
"""Probes in progress that are served beyond the bound on requests."""
FEW = 64
"""Requests in progress with which no process has fallen behind; they keep it busy."""
PATIENCE = 1.0
"""Seconds that a request may take: half of what it may wait for a connection to the database."""
LATE = 0.005
"""Seconds of lag that tell a busy event loop from one whose requests wait for others."""
SILENCE = 0.25
"""Seconds that a connection has at least until it gives way: its request may be on its way."""
OWN_DESCRIPTORS = 160
"""Descriptors that a process needs besides its clients' connections, with the default pools: 18 to
PostgreSQL, 72 to Redis, and files."""
MAX_DESCRIPTORS = 65_536
"""More are not asked for, where the system would allow them."""
MAX_SPARE = 512
"""Connections beyond the bound on connections, on which probes alone are served."""


class Silent(Protocol):
    """A connection that waits for its client: for a request, or for the rest of one."""

    def give_way(self, silent: float) -> bool:
        """Close it, for another to take its place.

        Args:
            silent: seconds for which nothing came.

        Returns:
            Whether it was closed: not while its client reads an answer.
        """


class Admission:
    """Decides which requests and connections of clients are served.

    As many requests as `requests` may be in progress. Where the process falls behind, it is fewer:
    as many as it answers in a second, so that none waits longer than a client does. It has fallen
    behind where many requests are in progress and the event loop is late; while they wait for a
    database that is slow, the loop is not, and others pass by them (ADR 11).

    Args:
        requests: in progress at once. A request that waits for its body does not count: it takes
            no processor, and slow clients could otherwise keep all others out.
        connections: open at once. For one more, the one that has been silent longest gives way.
        descriptors: that the process may have open.

    Attributes:
        max_spare: connections beyond those, on which probes alone are served.
        receiving: requests that wait for more of their body.
        probes: probes in progress beyond the bound on requests.
        silent: connections that wait for their clients, the longest first, and since when, by the
            event loop's clock.
    """

    def __init__(self, requests: int, connections: int, descriptors: int) -> None:
        free = max(8, descriptors - OWN_DESCRIPTORS)
        self.max_requests = requests
        self.max_connections = min(connections, free // 2)
        self.max_spare = min(MAX_SPARE, free // 4)
        self.receiving = 0
        self.probes = 0
        self.silent: dict[Silent, float] = {}
        self._limit = requests
        self._before = 0
        self._tasks: Sized = ()
        self._connections: Sized = ()
        self._opening: Sized = ()

    def watch(self, tasks: Sized, connections: Sized = (), opening: Sized = ()) -> None:
        """Count what is in these sets, which their owners change: running requests, connections,
        and those that are being opened, each of which has a request."""
        self._tasks, self._connections, self._opening = tasks, connections, opening

    @property
    def in_progress(self) -> int:
        """Requests that are neither answered nor waiting for their body."""
        return len(self._tasks) - self.receiving

    @property
    def is_full(self) -> bool:
        """Whether as many requests are in progress as may be."""
        return self.in_progress >= self._limit

    @property
    def is_over(self) -> bool:
        """Whether more are: bodies that were waited for can all be there at once."""
        return self.in_progress > self._limit

    @property
    def admits_probe(self) -> bool:
        """Whether a probe is served where no other request is."""
        return self.probes < PROBES

    def admits_connection(self, now: float, *, is_probe: bool = False) -> bool:
        """Whether another connection is served at this moment of the event loop; one that is silent
        may give way to it.

        Args:
            now: by the event loop's clock.
            is_probe: whether its request is known to be one.
        """
        opening = len(self._opening)
        is_full = self.in_progress + opening >= self._limit
        if is_full and not (is_probe and self.admits_probe):
            return False
        most = self.max_connections + (self.max_spare if is_probe else 0)
        return len(self._connections) + opening < most or self._has_given_way(now)

    def _has_given_way(self, now: float) -> bool:
        silent, since = next(iter(self.silent.items()), (None, now))
        if silent is None or now - since < SILENCE:
            return False
        del self.silent[silent]
        if silent.give_way(now - since):
            return True
        self.silent[silent] = since  # the next one is asked next
        return False

    def adapt(self, rate: float, lag: float) -> None:
        """Adapt the bound to what is answered. Called a few times a second.

        Args:
            rate: requests that were answered a second, since the last call.
            lag: seconds by which the event loop is late.
        """
        before, self._before = self._before, self.in_progress
        few = min(FEW, self.max_requests)
        if self._before < few:
            self._limit = self.max_requests
        elif before >= few and lag > LATE:
            self._limit = min(max(int(rate * PATIENCE), few), self.max_requests)


def raise_descriptor_limit() -> int:
    """Have the process allowed as many open files as the system grants; how many."""
    if sys.platform == "win32":
        return MAX_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted

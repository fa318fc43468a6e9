"""Connection to one of several database hosts, some of which may not respond.

libpq tries one host after the other. A host that accepts a connection and then says nothing, or
whose packets get lost, would use up the time of a request, and of each health check. So the next
host is tried in parallel after a head start, and the first that matches is used.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import asyncpg

from app.core.exceptions import ServiceUnavailableException

HEAD_START = 0.2
"""Seconds before the next host is tried in parallel. A health check has 0.9 s in all."""
PREFERENCE = 0.3
"""Seconds to wait for a preferred host once an acceptable one has answered."""
UNRESPONSIVE_TTL = 30.0
"""Seconds for which a host that did not answer is tried after the others."""
# After these errors the next host is tried, as by libpq. Any other error would be the same there.
_NEXT = (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)

_Place = tuple[str | None, int | None]


class DatabaseHosts:
    """The hosts of one address.

    Args:
        hosts: in order of preference; empty if the driver finds them, as from a service file.
        ports: one for each host, or empty for the driver's default.
        attributes: `target_session_attrs`. Default with several hosts: one that accepts writes is
            preferred.
    """

    def __init__(self, hosts: Sequence[str], ports: Sequence[int], attributes: str | None) -> None:
        self._places: list[_Place] = [
            (host, ports[number] if ports else None) for number, host in enumerate(hosts or (None,))
        ]
        self._wishes: tuple[str | None, ...] = (attributes,)
        if attributes == "prefer-standby":
            self._wishes = "standby", "any"
        elif attributes is None and len(self._places) > 1:
            self._wishes = "read-write", "any"
        self._silent_until: dict[_Place, float] = {}

    async def connect(self, *, first: str = "", **options: Any) -> Any:
        """Connect to the first host that matches; the `timeout` in `options` is per host.

        Args:
            first: a statement to run on the new connection.
            options: of `asyncpg.connect`.

        Raises:
            ServiceUnavailableException: no host can be reached. SQLAlchemy does not translate an
                OSError.
            asyncpg.TargetServerAttributeNotMatched: no host has the attributes.
        """
        now = monotonic()
        places = sorted(self._places, key=lambda place: self._silent_until.get(place, 0) > now)
        for attributes in self._wishes:
            is_last = attributes is self._wishes[-1]
            search = _Search(
                {**options, "target_session_attrs": attributes}, None if is_last else PREFERENCE
            )
            connection = await search.run(places)
            self._silent_until |= dict.fromkeys(search.silent, monotonic() + UNRESPONSIVE_TTL)
            if connection is not None:
                if first:
                    await connection.execute(first)
                return connection
            if is_last or not search.unfit:
                raise search.failure()
            places = search.unfit
        raise AssertionError("the last attempt either connects or raises")


class _Search:
    """One connection attempt to each host, until one succeeds.

    Args:
        options: of `asyncpg.connect`.
        patience: seconds to wait for other hosts after one did not match; None: until they answer.

    Attributes:
        unfit: hosts that answered, but do not match.
        silent: hosts that did not answer, or not before the one that is used.
    """

    def __init__(self, options: Mapping[str, Any], patience: float | None) -> None:
        self._options = options
        self._patience = patience
        self._failures: list[Exception] = []
        self.unfit: list[_Place] = []
        self.silent: list[_Place] = []

    async def run(self, places: Sequence[_Place]) -> Any:
        """The connection, or None.

        Raises:
            Exception: a server refused for a reason that would be the same on each host.
        """
        waiting = deque(places)
        running: dict[asyncio.Task[Any], _Place] = {}
        try:
            while waiting or running:
                if waiting:
                    place = waiting.popleft()
                    running[asyncio.create_task(self._attempt(*place))] = place
                ended, _ = await asyncio.wait(
                    running, timeout=self._turn(waiting), return_when=asyncio.FIRST_COMPLETED
                )
                if not (ended or waiting):
                    return None
                for task in [task for task in running if task in ended]:
                    connection = self._outcome(task, running.pop(task))
                    if connection is not None:
                        self.silent += running.values()
                        return connection
            return None
        finally:
            for task in running:
                task.add_done_callback(_discard)
                task.cancel()

    def failure(self) -> Exception:
        """The exception to raise if there is no connection."""
        unfit = [error for error in self._failures if not isinstance(error, OSError)]
        last = (unfit or self._failures)[-1]
        if not isinstance(last, OSError):
            return last
        failure = ServiceUnavailableException()
        failure.__cause__ = last
        return failure

    def _turn(self, waiting: deque[_Place]) -> float | None:
        if waiting:
            return HEAD_START
        return self._patience if self.unfit else None

    async def _attempt(self, host: str | None, port: int | None) -> Any:
        # The engine's URL names the first host, for traces.
        return await asyncpg.connect(**{**self._options, "host": host, "port": port})

    def _outcome(self, task: asyncio.Task[Any], place: _Place) -> Any:
        error = task.exception()
        if error is None:
            return task.result()
        if not isinstance(error, _NEXT):
            raise error
        self._failures.append(error)
        if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
            self.unfit.append(place)
        elif isinstance(error, TimeoutError):
            self.silent.append(place)
        return None


def _discard(task: asyncio.Task[Any]) -> None:
    """Close a connection that was opened too late."""
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()

"""`Replicas`: watches the replicas, and chooses one for a read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.telemetry.metrics import REPLICA_FALLBACKS, REPLICA_READS
from app.core.timeouts import with_timeout
from app.database.errors import is_lost, sqlstate
from app.database.replicas.marks import WriteMarks
from app.database.replicas.replica import PROBE_TIMEOUT, PrimaryLog, Replica

T = TypeVar("T")

log = structlog.get_logger("app.replicas")

WATCH_INTERVAL = 1.0
"""Seconds between two probes of all replicas."""


class Replicas:
    """The replicas of a process, read in turn.

    Args:
        replicas: one or more.
        primary: whose log they follow.
        marks: of the callers' commits.
    """

    def __init__(self, replicas: Sequence[Replica], primary: PrimaryLog, marks: WriteMarks) -> None:
        self.all = replicas
        self.marks = marks
        self._primary = primary
        self._turn = 0

    async def run(
        self,
        on_replica: Callable[[Replica], Awaitable[T]],
        on_primary: Callable[[], Awaitable[T]],
        *,
        is_shared: bool = False,
    ) -> T:
        """Read from a replica that has the caller's own writes, or from the primary: where there is
        none, and where it fails or takes longer than `DATABASE_REPLICA_TIMEOUT`.

        Args:
            on_replica: reads, and changes nothing.
            on_primary: reads the same.
            is_shared: the result is stored for other callers, whose writes count as well.
        """
        replica = await self.choose(is_shared=is_shared)
        if replica is None:
            return await on_primary()
        try:
            result = await replica.within_time(lambda: on_replica(replica))
        except Exception as error:  # noqa: BLE001  # the primary reports its own errors
            self.failed(replica, error)
            return await on_primary()
        REPLICA_READS.labels(replica.name).inc()
        return result

    async def choose(self, *, is_shared: bool = False) -> Replica | None:
        """The next replica that has what the caller wrote; None: read the primary."""
        fit = [replica for replica in self.all if replica.problem is None]
        if not fit:
            return None
        position = await (self.marks.of_everyone() if is_shared else self.marks.of_caller())
        self._turn += 1
        for number in range(len(fit)):
            replica = fit[(self._turn + number) % len(fit)]
            if await replica.has(position):
                return replica
        return None

    def failed(self, replica: Replica, error: Exception) -> None:
        """Count a failed read, and leave the replica out where that is its fault. A statement that
        the server refused, and a full pool, are not."""
        REPLICA_FALLBACKS.labels(replica.name).inc()
        log.warning("replica_failed", replica=replica.name, reason=repr(error))
        state = sqlstate(error) if isinstance(error, SQLAlchemyError) else None
        is_down = state is None or is_lost(state)
        if is_down and not isinstance(error, PoolTimeoutError):
            replica.fail("a read failed, or took too long")

    async def probe(self) -> None:
        """Ask the primary and all replicas for their state, once. Raises nothing."""
        try:
            await with_timeout(PROBE_TIMEOUT, self._primary.sample)
        except Exception as error:  # noqa: BLE001  # health tells; replicas can be read meanwhile
            log.debug("primary_not_sampled", reason=repr(error))
        await asyncio.gather(*(replica.probe() for replica in self.all))

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Probe in the background while the block runs."""
        task = asyncio.create_task(self._watch(), context=Context())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _watch(self) -> None:
        while True:
            await self.probe()
            await asyncio.sleep(WATCH_INTERVAL)

"""`Replica`: one standby, its state, and its connections."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple, TypeVar

import structlog
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.core.config import DatabaseSettings
from app.core.timeouts import with_timeout
from app.database.errors import connection_failure
from app.database.reads import Reads

T = TypeVar("T")

log = structlog.get_logger("app.replicas")

PROBE_TIMEOUT = 1.0
"""Seconds for a regular probe, including connecting."""
REFRESH_TIMEOUT = 0.1
"""Seconds that a caller who has just written waits to know whether a replica has it."""
NOT_PROBED = "not asked yet"
NO_PRIMARY = "the primary has not answered since this process started"
CATCHING_UP = "has not caught up since this process started"
NO_STANDBY = "is no standby: it was promoted, or is a primary"
OTHER_CLUSTER = "is no copy of the primary: its system identifier differs"

_PROBE = text(
    "SELECT pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn() - '0/0', 0)::text,"
    " system_identifier FROM pg_control_system()"
)
_PRIMARY = text(
    "SELECT (pg_current_wal_insert_lsn() - '0/0')::text, system_identifier FROM pg_control_system()"
)


class Sample(NamedTuple):
    """The end of the primary's log at a moment of the monotonic clock."""

    at: float
    position: int


class PrimaryLog:
    """Recent samples of the end of the primary's log. Lag is measured by them: by one clock, and
    right while nothing is written, and while a replica is cut off from the primary.

    Args:
        reads: of the primary.
        span: seconds of samples that are stored.
    """

    def __init__(self, reads: Reads, span: float) -> None:
        self._reads = reads
        self._span = span
        self._samples: deque[Sample] = deque()
        self.first: int | None = None
        self.system: int | None = None

    async def sample(self) -> None:
        """Take a sample. Raises: Exception: the primary does not answer, or there is none."""
        (row,) = await self._reads.rows(_PRIMARY)
        position, system = tuple(row)
        self.add(Sample(monotonic(), int(position)), system)

    def add(self, sample: Sample, system: int) -> None:
        samples = self._samples
        if samples and samples[-1].position > sample.position:
            samples.clear()  # another server was promoted, and has less
        if self.first is None or self.first > sample.position:
            self.first = sample.position
        self.system = system
        if not samples or samples[-1].position < sample.position:
            samples.append(sample)
        while samples[0].at < sample.at - self._span and len(samples) > 1:
            samples.popleft()

    def lag_of(self, position: int) -> float:
        """Seconds, at least, for which a server at `position` has not had all."""
        for sample in self._samples:
            if sample.position > position:
                return monotonic() - sample.at
        return 0.0


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """State of a replica, as this process sees it.

    Attributes:
        name: host and port.
        problem: why it is not read; None where it is.
        lag: seconds; None while unknown.
    """

    name: str
    problem: str | None
    lag: float | None


class Replica:
    """A standby, and whether it is fit to be read.

    Args:
        settings: with the replica's URL.
        primary: whose log it follows.
        lists: engine for short reads.
        exports: engine for exports.
        probes: engine for probes, with one connection.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        primary: PrimaryLog,
        lists: AsyncEngine,
        exports: AsyncEngine,
        probes: AsyncEngine,
    ) -> None:
        address = settings.address()
        ports = address.ports or (5432,) * len(address.hosts)
        places = zip(address.hosts, ports, strict=True)
        self.name = ",".join(f"{host}:{port}" for host, port in places) or "by service file"
        self.lists = Reads(lists, settings)
        self.exports = Reads(exports, settings, is_primary=False)
        self.problem: str | None = NOT_PROBED
        self.lag: float | None = None
        self._engine = lists
        self._probes = Reads(probes, settings)
        self._primary = primary
        self._max_lag = settings.replica_max_lag
        self._timeout = settings.replica_timeout
        self._replayed = 0
        self._refreshing: asyncio.Future[None] | None = None
        for engine in (lists, exports, probes):
            event.listen(engine.sync_engine, "connect", self._connected)

    @property
    def status(self) -> ReplicaStatus:
        return ReplicaStatus(self.name, self.problem, self.lag)

    async def has(self, position: int) -> bool:
        """Whether it has replayed the log up to `position`; asks it where that is not known."""
        if self._replayed < position:
            await self._refresh()
        return self._replayed >= position and self.problem is None

    async def in_session(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Run `work` with a session on this replica."""
        async with AsyncSession(self._engine) as db:
            return await work(db)

    async def within_time(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run a read, for `DATABASE_REPLICA_TIMEOUT` at most.

        Raises:
            TimeoutError: it took longer.
        """
        return await with_timeout(self._timeout, work)

    def fail(self, reason: str) -> None:
        """Leave it out until a probe succeeds."""
        if self.problem is None:
            log.warning("replica_left_out", replica=self.name, reason=reason)
        self.problem = reason

    async def probe(self) -> None:
        """Ask for its state, and decide whether it is read. Raises nothing."""
        try:
            problem = await with_timeout(PROBE_TIMEOUT, self._probe)
        except Exception as error:  # noqa: BLE001  # any error of the driver or the event loop
            self.lag = None
            self.fail(connection_failure(error) or f"does not answer ({type(error).__name__})")
            return
        if problem is not None:
            self.fail(problem)
        elif self.problem is not None:
            log.info("replica_in_use", replica=self.name)
            self.problem = None

    async def _probe(self) -> str | None:
        is_standby, system = await self._ask()
        if not is_standby:
            self.lag = None
            return NO_STANDBY
        primary = self._primary
        if primary.first is None:
            return NO_PRIMARY
        if system != primary.system:
            return OTHER_CLUSTER
        self.lag = primary.lag_of(self._replayed)
        if self._replayed < primary.first and self.problem is not None:
            return CATCHING_UP
        if self.lag > self._max_lag:
            return f"lags more than {self._max_lag:g} s"
        return None

    async def _ask(self) -> tuple[bool, int]:
        (row,) = await self._probes.rows(_PROBE)
        is_standby, replayed, system = tuple(row)
        self._replayed = int(replayed)
        return is_standby, system

    async def _refresh(self) -> None:
        """Ask what it has replayed; callers at the same time share the answer."""
        if self._refreshing is None:
            self._refreshing = asyncio.ensure_future(self._ask_soon())
        await asyncio.shield(self._refreshing)

    async def _ask_soon(self) -> None:
        try:
            is_standby, _ = await with_timeout(REFRESH_TIMEOUT, self._ask)
            if not is_standby:
                self.fail(NO_STANDBY)
        except Exception as error:  # noqa: BLE001  # the primary is read; the next probe tells more
            log.debug("replica_not_refreshed", replica=self.name, reason=repr(error))
        finally:
            self._refreshing = None

    def _connected(self, *_: Any) -> None:
        """A server that was restarted may begin before the position that it had reached."""
        self._replayed = 0

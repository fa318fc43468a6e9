"""Gauges of this process: event loop, pool, password hashing, circuit breakers."""

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.redis import CircuitBreaker
from app.core.security import PasswordHasher
from app.core.telemetry import request_counter
from app.core.telemetry.metrics import (
    BREAKER_OPEN,
    HASHES_PENDING,
    HASHING_THREADS,
    LOOP_LAG,
    POOL,
    POOL_BY_PROCESS,
    POOL_TIMEOUTS,
    PROCESSES,
    REPLICA_IN_USE,
    REPLICA_LAG,
    REQUESTS_IN_PROGRESS,
)
from app.core.telemetry.metrics_directory import AliveLock, metrics_directory
from app.core.telemetry.metrics_files import save_files
from app.database import PoolUsage, Replicas, ReplicaStatus, pool_usage

log = structlog.get_logger("app.metrics")

LAG_SAMPLES = 30
"""Samples of the event loop's lag, of which the longest is shown: 15 s, as between scrapes."""


@dataclass(frozen=True, slots=True)
class GaugeSources:
    """Objects that the gauges read: the engine that requests use, breakers, password hashing, and
    the replicas, where there are any."""

    engine: AsyncEngine
    breakers: Sequence[CircuitBreaker]
    passwords: PasswordHasher
    replicas: Replicas | None = None

    def replica_states(self) -> list[ReplicaStatus]:
        return [replica.status for replica in self.replicas.all] if self.replicas else []


class ProcessGauges:
    """Sets the gauges, twice a second and before each read."""

    def __init__(self, sources: GaugeSources) -> None:
        self._sources = sources
        self._lags: deque[float] = deque(maxlen=LAG_SAMPLES)
        self._pool_timeouts = 0
        self._process = str(os.getpid())
        shared = metrics_directory()
        self._lease = AliveLock(shared) if shared else None
        self._in_memory = False
        self.save_files()

    def update(self, lag: float | None = None) -> None:
        """Set every gauge to its current value.

        Args:
            lag: seconds that the event loop was late, where it was measured.
        """
        if lag is not None:
            self._lags.append(lag)
        passwords = self._sources.passwords
        PROCESSES.set(1)
        LOOP_LAG.set(max(self._lags, default=0))
        REQUESTS_IN_PROGRESS.set(request_counter.in_progress)
        HASHES_PENDING.set(passwords.pending)
        HASHING_THREADS.set(passwords.workers)
        for breaker in self._sources.breakers:
            BREAKER_OPEN.labels(breaker.name).set(breaker.is_open)
        for replica in self._sources.replica_states():
            REPLICA_IN_USE.labels(replica.name).set(replica.problem is None)
            REPLICA_LAG.labels(replica.name).set(nan if replica.lag is None else replica.lag)
        self._update_pool(pool_usage(self._sources.engine))

    def _update_pool(self, usage: PoolUsage) -> None:
        figures = {
            "size": usage.pool_size,
            "checked_in": usage.checked_in,
            "checked_out": usage.checked_out,
            "overflow": usage.overflow,
            "total_connections": usage.total_connections,
            "waiting": usage.waiting,
        }
        for name, value in figures.items():
            POOL[name].set(value)
            POOL_BY_PROCESS[name].labels(self._process).set(value)
        POOL_BY_PROCESS["timeouts"].labels(self._process).set(usage.timeouts)
        # A disposed engine has a new pool, which counts from 0.
        POOL_TIMEOUTS.inc(max(0, usage.timeouts - self._pool_timeouts))
        self._pool_timeouts = usage.timeouts

    def save_files(self) -> None:
        """Write the files that other processes read; again where they were removed or the disk was
        full. Writes up to some megabytes: call it in a thread while requests are served."""
        if self._lease is None:
            return
        trouble = save_files()
        self._lease.renew()
        if trouble is not None and not self._in_memory:
            log.warning("figures_in_memory", reason=repr(trouble))
        elif trouble is None and self._in_memory:
            log.info("figures_in_files")
        self._in_memory = trouble is not None

    def close(self) -> None:
        """Remove this process's gauges from those of the service."""
        if self._lease is not None:
            self._lease.release()

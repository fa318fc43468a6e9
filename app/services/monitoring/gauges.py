"""This process's gauges: what is so at the moment, as against what has been counted."""

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.redis import CircuitBreaker
from app.core.security import PasswordHasher
from app.core.telemetry import request_meter
from app.core.telemetry.files import save_files
from app.core.telemetry.metrics import (
    BREAKER_OPEN,
    HASHES_PENDING,
    HASHING_THREADS,
    LOOP_LAG,
    POOL,
    POOL_BY_PROCESS,
    POOL_TIMEOUTS,
    PROCESSES,
    REQUESTS_IN_PROGRESS,
)
from app.core.telemetry.processes import Lease, folder
from app.database import PoolUsage, pool_usage

log = structlog.get_logger("app.metrics")

LAGS = 30
"""Looks at the event loop that its lag is the longest of: 15 s, as long as between two scrapes."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What the gauges tell of: the engine that requests use, and so on."""

    engine: AsyncEngine
    breakers: Sequence[CircuitBreaker]
    passwords: PasswordHasher


class ProcessGauges:
    """Sets them, twice a second and before anybody reads."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._lags: deque[float] = deque(maxlen=LAGS)
        self._pool_timeouts = 0
        self._process = str(os.getpid())
        shared = folder()
        self._lease = Lease(shared) if shared else None
        self._in_memory = False
        self.save_files()

    def update(self, lag: float | None = None) -> None:
        """Set every gauge to what is so now.

        Args:
            lag: seconds that the event loop was late, where somebody looked.
        """
        if lag is not None:
            self._lags.append(lag)
        passwords = self._watched.passwords
        PROCESSES.set(1)
        LOOP_LAG.set(max(self._lags, default=0))
        REQUESTS_IN_PROGRESS.set(request_meter.in_progress)
        HASHES_PENDING.set(passwords.pending)
        HASHING_THREADS.set(passwords.workers)
        for breaker in self._watched.breakers:
            BREAKER_OPEN.labels(breaker.name).set(breaker.is_open)
        self._update_pool(pool_usage(self._watched.engine))

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
        # An engine that was disposed of has another pool, which counts anew.
        POOL_TIMEOUTS.inc(max(0, usage.timeouts - self._pool_timeouts))
        self._pool_timeouts = usage.timeouts

    def save_files(self) -> None:
        """Have the files that siblings read: again, where they were removed or there was no space.
        It writes up to some megabytes: call it in a thread while requests are served."""
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
        """This process ends: its gauges are nobody's any more."""
        if self._lease is not None:
            self._lease.release()

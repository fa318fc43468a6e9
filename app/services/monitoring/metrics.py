"""`MetricsService`: metrics for the JSON endpoints, the overview page and Prometheus."""

import asyncio
from collections import deque
from collections.abc import Awaitable
from math import nan
from time import monotonic
from typing import TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.cache.redis_usage import RedisUsage, redis_usage
from app.core.config import Settings
from app.core.redis import CircuitBreaker
from app.core.telemetry.exposition import MetricsSnapshot, exposition, metrics_snapshot
from app.core.telemetry.metrics import (
    CACHE_KEYS,
    REDIS_EVICTED,
    REDIS_MEMORY,
    REDIS_MEMORY_MAX,
    SERVER_CONNECTIONS,
    SERVER_MAX_CONNECTIONS,
)
from app.database import pool_usage, server_connections
from app.repositories.background.job_statistics import job_durations, job_statistics
from app.schemas.monitoring.metrics import (
    CacheMetricsSchema,
    DatabaseMetricsSchema,
    ReplicaListSchema,
    RequestMetricsSchema,
)
from app.services.monitoring.gauges import GaugeSources, ProcessGauges
from app.services.monitoring.health import HealthService
from app.services.monitoring.job_gauges import JobGauges
from app.services.monitoring.metrics_report import build_cache_metrics, build_request_metrics
from app.services.monitoring.traffic_history import TrafficHistoryService

T = TypeVar("T")

log = structlog.get_logger("app.metrics")

WINDOW = 300.0
"""Seconds that the figures of the JSON endpoints cover."""
SNAPSHOT_INTERVAL = 15.0
"""Seconds between two snapshots of the counters."""
READ_TIMEOUT = 1.0
"""Seconds that the database or Redis may take to report its state."""


class MetricsService:
    """Metrics of all processes of the service.

    Args:
        settings: with the prefix of the cache's keys.
        sources: of this process's gauges.
        cache: the cache's Redis; None where there is none.
        health: its checks are gauges too.
        spare: a second engine, to read the server's state.
    """

    def __init__(
        self,
        settings: Settings,
        sources: GaugeSources,
        cache: CircuitBreaker | None,
        health: HealthService,
        spare: AsyncEngine,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._cache = cache
        self._health = health
        self._spare = spare
        self._snapshots: deque[tuple[float, MetricsSnapshot]] = deque(
            maxlen=int(WINDOW / SNAPSHOT_INTERVAL)
        )
        self.gauges = ProcessGauges(sources)
        self.history = TrafficHistoryService(cache)
        self._jobs = JobGauges()

    def database(self) -> DatabaseMetricsSchema:
        """This process's connections at this moment; uses none of them."""
        return DatabaseMetricsSchema.model_validate(pool_usage(self._sources.engine))

    def replicas(self) -> ReplicaListSchema:
        """The read replicas as this process sees them; asks none of them."""
        return ReplicaListSchema.model_validate({"items": self._sources.replica_states()})

    async def requests(self, *, with_operational: bool = True) -> RequestMetricsSchema:
        """Requests that all processes answered within `WINDOW`; see `build_request_metrics`."""
        return build_request_metrics(*await self._recent(), with_operational=with_operational)

    async def cache(self) -> CacheMetricsSchema:
        """Hits and misses within `WINDOW`, and the memory and keys of the cache's Redis."""
        redis = await self._redis_usage()
        return build_cache_metrics(*await self._recent(), redis, has_redis=self._cache is not None)

    async def exposition(self) -> str:
        """All metrics in Prometheus' text format. Runs the health checks too."""
        await asyncio.gather(self._health.report(), self._update_redis())
        await self._update_server()
        jobs = await _or_none(job_statistics(self._spare))
        self._jobs.update(jobs, await _or_none(job_durations(self._spare)))
        self.gauges.update()
        await asyncio.to_thread(self.gauges.save_files)
        return await asyncio.to_thread(exposition)

    async def take_snapshot(self) -> None:
        """Store the counters' values, for later figures to be compared with, report the history,
        and write the files that other processes read."""
        await self.history.report()
        await asyncio.to_thread(self.gauges.save_files)
        now, current = monotonic(), await asyncio.to_thread(metrics_snapshot)
        self._snapshots.append((now, current.counters()))

    async def _recent(self) -> tuple[MetricsSnapshot, float]:
        """Metrics since the oldest snapshot, and the seconds since then."""
        self.gauges.update()
        current = await asyncio.to_thread(metrics_snapshot)
        if not self._snapshots:  # no background tasks: a command, or a test
            return current, 0.0
        taken_at, oldest = self._snapshots[0]
        return current.since(oldest), monotonic() - taken_at

    async def _update_server(self) -> None:
        server = await _or_none(server_connections(self._spare))
        SERVER_CONNECTIONS.set(server.used if server else nan)
        SERVER_MAX_CONNECTIONS.set(server.maximum if server else nan)

    async def _update_redis(self) -> None:
        if self._cache is None:
            return
        usage = await self._redis_usage()
        REDIS_MEMORY.set(usage.memory if usage else nan)
        REDIS_MEMORY_MAX.set(usage.max_memory if usage else nan)
        REDIS_EVICTED.set(usage.evicted if usage else nan)
        for namespace, count in usage.keys.items() if usage else ():
            CACHE_KEYS.labels(namespace).set(count)

    async def _redis_usage(self) -> RedisUsage | None:
        if self._cache is None or self._cache.is_open:
            return None
        return await _or_none(redis_usage(self._cache.redis, self._settings.cache.prefix))


async def _or_none(read: Awaitable[T]) -> T | None:
    """The result; None where reading fails or takes too long: a figure is then missing."""
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            return await read
    except Exception as error:  # noqa: BLE001  # any exception of the library or the event loop
        log.warning("look_failed", reason=repr(error))
        return None

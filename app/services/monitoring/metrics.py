"""What goes on inside, in figures: one source for JSON, the dashboard and Prometheus."""

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
from app.core.telemetry.exposition import Figures, exposition, figures
from app.core.telemetry.metrics import (
    CACHE_KEYS,
    REDIS_EVICTED,
    REDIS_MEMORY,
    REDIS_MEMORY_MAX,
    SERVER_CONNECTIONS,
    SERVER_MAX_CONNECTIONS,
)
from app.database import pool_usage, server_connections
from app.schemas.metrics import CacheMetricsSchema, DatabaseMetricsSchema, RequestMetricsSchema
from app.services.monitoring.gauges import ProcessGauges, Watched
from app.services.monitoring.health import HealthService
from app.services.monitoring.report import cache_metrics, request_metrics

T = TypeVar("T")

log = structlog.get_logger("app.metrics")

WINDOW = 300.0
"""Seconds that the JSON's figures reach back."""
KEEP_EVERY = 15.0
"""Seconds between the states that are kept for that."""
LOOK_TIMEOUT = 1.0
"""Seconds that the database or Redis may take to tell of itself."""


class MetricsService:
    """Figures of this process and of its siblings.

    Args:
        settings: names the keys of the cache.
        watched: what this process's gauges tell of.
        cache: None where there is none.
        health: whose checks are gauges too.
        spare: an engine apart from the one that is watched, to ask the server about itself.
    """

    def __init__(
        self,
        settings: Settings,
        watched: Watched,
        cache: CircuitBreaker | None,
        health: HealthService,
        spare: AsyncEngine,
    ) -> None:
        self._settings = settings
        self._engine = watched.engine
        self._cache = cache
        self._health = health
        self._spare = spare
        self._kept: deque[tuple[float, Figures]] = deque(maxlen=int(WINDOW / KEEP_EVERY))
        self.gauges = ProcessGauges(watched)

    def database(self) -> DatabaseMetricsSchema:
        """This process's connections at this moment; takes none of them."""
        return DatabaseMetricsSchema.model_validate(pool_usage(self._engine))

    async def requests(self) -> RequestMetricsSchema:
        """What all processes answered within the window."""
        return request_metrics(*await self._recent())

    async def cache(self) -> CacheMetricsSchema:
        """How useful the cache was within the window, and what its Redis holds."""
        redis = await self._redis_usage()
        return cache_metrics(*await self._recent(), redis, has_redis=self._cache is not None)

    async def exposition(self) -> str:
        """Everything, in Prometheus' text format. It runs the health checks, too."""
        await asyncio.gather(self._health.report(), self._look_at_redis())
        await self._look_at_server()
        self.gauges.update()
        await asyncio.to_thread(self.gauges.save_files)
        return await asyncio.to_thread(exposition)

    async def keep(self) -> None:
        """Keep the counters as they are, for later figures to be compared with, and the files that
        other processes read."""
        await asyncio.to_thread(self.gauges.save_files)
        now, current = monotonic(), await asyncio.to_thread(figures)
        self._kept.append((now, current.counters()))

    async def _recent(self) -> tuple[Figures, float]:
        """What was counted since the oldest state that was kept, and how many seconds that is."""
        self.gauges.update()
        current = await asyncio.to_thread(figures)
        if not self._kept:  # no background work: a command, or a test
            return current, 0.0
        kept_at, oldest = self._kept[0]
        return current.since(oldest), monotonic() - kept_at

    async def _look_at_server(self) -> None:
        server = await _told(server_connections(self._spare))
        SERVER_CONNECTIONS.set(server.used if server else nan)
        SERVER_MAX_CONNECTIONS.set(server.maximum if server else nan)

    async def _look_at_redis(self) -> None:
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
        return await _told(redis_usage(self._cache.redis, self._settings.cache.prefix))


async def _told(look: Awaitable[T]) -> T | None:
    """What the look tells; None where it fails or takes too long: a figure is then missing."""
    try:
        async with asyncio.timeout(LOOK_TIMEOUT):
            return await look
    except Exception as error:  # noqa: BLE001  # whatever the library or the event loop raises
        log.warning("look_failed", reason=repr(error))
        return None

"""Opens the replicas of a process."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import DatabaseSettings, Settings
from app.core.redis import CircuitBreaker
from app.database.connection import close_engine, get_engine
from app.database.reads import Reads
from app.database.replicas.marks import TTL_MARGIN, WriteMarks
from app.database.replicas.replica import PrimaryLog, Replica
from app.database.replicas.replicas import Replicas
from app.database.servers.failover import Disconnects
from app.database.statements import watch_statements

NO_CACHE = "there is no Redis for the cache, which has to hold the marks of writes"

log = structlog.get_logger("app.replicas")


@asynccontextmanager
async def open_replicas(
    settings: Settings, primary: AsyncEngine, cache: CircuitBreaker | None
) -> AsyncIterator[Replicas | None]:
    """The replicas that the settings name, watched while the block runs; None without replicas, and
    without a cache for the marks of writes.

    Args:
        settings: of the process.
        primary: an engine on it.
        cache: the cache's Redis.
    """
    if not settings.database.replica_urls or cache is None:
        if settings.database.replica_urls:
            log.warning("replicas_unused", reason=NO_CACHE)
        yield None
        return
    database, exports_max = settings.database, settings.users.exports_max
    async with AsyncExitStack() as stack:
        disconnects = Disconnects()

        def engine(own: DatabaseSettings, **options: Any) -> AsyncEngine:
            engine = get_engine(own, disconnects=disconnects, is_primary=False, **options)
            stack.push_async_callback(close_engine, engine)
            return engine

        sampler = get_engine(database, pool_size=1, max_overflow=0, pool_timeout=1)
        stack.push_async_callback(close_engine, sampler)
        span = database.replica_max_lag + TTL_MARGIN
        primary_log = PrimaryLog(Reads(sampler, database), span)
        found = []
        for own in database.replicas():
            lists = engine(own)
            watch_statements(lists, settings.telemetry.slow_query)
            exports = engine(own, pool_size=exports_max, max_overflow=0)
            probes = engine(own, pool_size=1, max_overflow=0, pool_timeout=1)
            found.append(Replica(own, primary_log, lists, exports, probes))
        marks = WriteMarks(
            Reads(primary, database), cache, settings.cache.prefix, database.replica_max_lag
        )
        replicas = Replicas(found, primary_log, marks)
        async with replicas.watched():
            yield replicas

"""Periodic tasks: purging, gauges, snapshots of the counters."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import AppException
from app.runtime import Runtime
from app.services.idempotency import IdempotencyService
from app.services.monitoring.metrics import SNAPSHOT_INTERVAL, MetricsService
from app.services.session import SessionService

log = structlog.get_logger("app.periodic")

PURGE_INTERVAL = 3600.0
"""Seconds, give or take a tenth, so that processes started together do not purge at once."""
PURGE_TIMEOUT = 60.0
"""Seconds for each kind: no request's deadline ends it where the database does not answer. The next
purge deletes the rest."""
GAUGES_INTERVAL = 0.5
"""Seconds between updates of the gauges, the event loop's lag among them."""


@asynccontextmanager
async def periodic_work(runtime: Runtime) -> AsyncIterator[None]:
    """Run the tasks in the background while the block runs."""
    await runtime.metrics.take_snapshot()  # before the first request, which would not count else
    work = _purge(runtime), _update_gauges(runtime.metrics), _take_snapshots(runtime.metrics)
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _purge(runtime: Runtime) -> None:
    while True:
        await asyncio.sleep(PURGE_INTERVAL * random.uniform(0.9, 1.1))  # noqa: S311  # no secret
        # One after the other, each with a timeout of its own.
        await _purged(runtime, "sessions", runtime.session_service)
        await _purged(runtime, "answers", IdempotencyService)


async def _purged(
    runtime: Runtime,
    what: str,
    service: Callable[[AsyncSession], SessionService | IdempotencyService],
) -> None:
    try:
        async with asyncio.timeout(PURGE_TIMEOUT), runtime.session_maker() as db:
            count = await service(db).purge()
    except (AppException, SQLAlchemyError, TimeoutError) as error:
        log.warning("purge_failed", what=what, reason=repr(error))
    else:
        log.info("purged", what=what, count=count)


async def _update_gauges(metrics: MetricsService) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + GAUGES_INTERVAL
        await asyncio.sleep(GAUGES_INTERVAL)
        metrics.gauges.update(lag=loop.time() - due)


async def _take_snapshots(metrics: MetricsService) -> None:
    while True:
        await asyncio.sleep(SNAPSHOT_INTERVAL)
        await metrics.take_snapshot()

"""Work that comes round again."""

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
from app.services.monitoring.metrics import KEEP_EVERY, MetricsService
from app.services.session import SessionService

log = structlog.get_logger("app.periodic")

PURGE_EVERY = 3600.0
"""Seconds, give or take a tenth, so that processes started together do not come together."""
PURGE_TIMEOUT = 60.0
"""Seconds for each kind: no request's deadline ends it where the database falls silent. What is
left then, the next one deletes."""
LOOK_EVERY = 0.5
"""Seconds between looks at the gauges and at how late the event loop is."""


@asynccontextmanager
async def periodic_work(runtime: Runtime) -> AsyncIterator[None]:
    """Have it done in the background while the block runs."""
    work = _purge(runtime), _update_gauges(runtime.metrics), _keep_figures(runtime.metrics)
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _purge(runtime: Runtime) -> None:
    while True:
        await asyncio.sleep(PURGE_EVERY * random.uniform(0.9, 1.1))  # noqa: S311  # no secret
        # Each for itself: what one has not come to by the end must not keep the other waiting.
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
        due = loop.time() + LOOK_EVERY
        await asyncio.sleep(LOOK_EVERY)
        metrics.gauges.update(lag=loop.time() - due)


async def _keep_figures(metrics: MetricsService) -> None:
    while True:
        await metrics.keep()
        await asyncio.sleep(KEEP_EVERY)

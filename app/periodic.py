"""Periodic tasks of each web process: gauges, snapshots of the counters, traffic, and records of
refusals and requests.

What is done once for all processes is a scheduled job (`app/worker/registry.py`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.runtime import Runtime
from app.services.audit_log.refusals import Refusals
from app.services.monitoring.metrics import SNAPSHOT_INTERVAL, MetricsService
from app.services.monitoring.recent_requests import RecentRequests

REFUSALS_INTERVAL = 1.0
"""Seconds between writes of refusals to the audit trail."""
REQUESTS_INTERVAL = 1.0
"""Seconds between writes of recent requests."""
GAUGES_INTERVAL = 0.5
"""Seconds between updates of the gauges, the event loop's lag among them."""


@asynccontextmanager
async def periodic_work(runtime: Runtime) -> AsyncIterator[None]:
    """Run the tasks in the background while the block runs."""
    await runtime.metrics.take_snapshot()  # before the first request, which would not count else
    metrics = runtime.metrics
    work = (
        _update_gauges(metrics),
        _take_snapshots(metrics),
        _write_refusals(runtime.refusals),
        _write_requests(runtime.recent_requests),
    )
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await runtime.refusals.write(is_last=True)
        await runtime.recent_requests.write()
        await metrics.history.report()


async def _update_gauges(metrics: MetricsService) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + GAUGES_INTERVAL
        await asyncio.sleep(GAUGES_INTERVAL)
        metrics.gauges.update(lag=loop.time() - due)


async def _write_refusals(refusals: Refusals) -> None:
    while True:
        await asyncio.sleep(REFUSALS_INTERVAL)
        await refusals.write()


async def _write_requests(requests: RecentRequests) -> None:
    while True:
        await asyncio.sleep(REQUESTS_INTERVAL)
        await requests.write()


async def _take_snapshots(metrics: MetricsService) -> None:
    while True:
        await asyncio.sleep(SNAPSHOT_INTERVAL)
        await metrics.take_snapshot()

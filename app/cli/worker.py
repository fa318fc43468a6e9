"""`backend worker`: runs background jobs until it is stopped."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from app.bootstrap import prepare_database
from app.cli.running import command_settings, run_command
from app.core.config import Settings
from app.runtime import Runtime, open_runtime
from app.worker.health_files import touch_health_files
from app.worker.worker import Worker

log = structlog.get_logger("app.jobs")


def worker() -> None:
    """Run background jobs until SIGTERM."""
    run_command(_work(command_settings()))


async def _work(settings: Settings) -> None:
    async with open_runtime(settings) as runtime:
        if not settings.is_production:
            await prepare_database(runtime)
        worker = Worker(runtime)
        _stop_on_signal(worker)
        log.info("worker_started", jobs=settings.jobs.concurrency)
        async with _health_files(runtime):
            await worker.run()
        log.info("worker_stopped")


@asynccontextmanager
async def _health_files(runtime: Runtime) -> AsyncIterator[None]:
    """Touch the health files during the block, where `JOBS_HEALTH_FOLDER` is set."""
    folder = runtime.settings.jobs.health_folder
    if folder is None:
        yield
        return
    touching = asyncio.create_task(touch_health_files(folder, runtime.health))
    try:
        yield
    finally:
        touching.cancel()


def _stop_on_signal(worker: Worker) -> None:
    """Stop on the first SIGTERM, SIGINT or SIGHUP, and at once on the second."""
    loop = asyncio.get_running_loop()

    def received(*_: object) -> None:
        loop.call_soon_threadsafe(worker.stop_at_once if worker.is_stopping else worker.stop)

    for name in "SIGTERM", "SIGINT", "SIGHUP":
        if hasattr(signal, name) and signal.getsignal(signal.Signals[name]) != signal.SIG_IGN:
            signal.signal(signal.Signals[name], received)

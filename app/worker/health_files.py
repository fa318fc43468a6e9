"""Health files of a worker, which its supervisor reads: `live` and `ready`."""

import asyncio
from pathlib import Path

import structlog

from app.services.monitoring.health import HealthService

log = structlog.get_logger("app.jobs")

INTERVAL = 2.0
"""Seconds between two touches. A check of the database takes less than a second more."""


async def touch_health_files(folder: Path, health: HealthService) -> None:
    """Touch `live` in `folder` while the event loop runs, and `ready` while the database can be
    used as well. Runs until it is cancelled."""
    while True:
        _touch(folder / "live")
        if (await health.readiness()).status != "unhealthy":
            _touch(folder / "ready")
        await asyncio.sleep(INTERVAL)


def _touch(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as error:  # jobs run all the same
        log.warning("health_file_not_touched", file=str(file), reason=str(error))

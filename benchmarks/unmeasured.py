"""The application with nothing measured, for telemetry_cost.py to compare with: `app`."""

import asyncio

from prometheus_client import Counter, Gauge, Histogram


def nothing(*_: object) -> None:
    """What is measured instead."""


async def never(_: object) -> None:
    await asyncio.Event().wait()


# Before the application is imported: it keeps these methods where it counts.
setattr(Counter, "inc", nothing)  # noqa: B010  # mypy: a method is not assigned to
setattr(Histogram, "observe", nothing)  # noqa: B010  # as above
setattr(Gauge, "set", nothing)  # noqa: B010  # as above

from app import periodic  # noqa: E402  # see above
from app.core.redis import CircuitBreaker  # noqa: E402  # see above
from app.core.telemetry import Timing  # noqa: E402  # see above
from app.core.telemetry.request_counters import RequestCounter  # noqa: E402  # see above

setattr(Timing, "__enter__", nothing)  # noqa: B010  # as above
setattr(Timing, "__exit__", nothing)  # noqa: B010  # as above
setattr(RequestCounter, "ended", nothing)  # noqa: B010  # as above
setattr(CircuitBreaker, "_took", nothing)  # noqa: B010  # as above
setattr(periodic, "_update_gauges", never)  # noqa: B010  # as above
setattr(periodic, "_keep_figures", never)  # noqa: B010  # as above

from main import app  # noqa: E402  # see above

__all__ = ["app"]

"""How things are, in words that need no legend."""

from collections.abc import Callable
from datetime import datetime

from app.schemas.health import HealthSchema
from app.schemas.overview import Verdict
from app.services.monitoring.health import READ_ONLY

_REDIS_AWAY = {
    "cache": "every answer is computed anew",
    "rate_limiter": "each process counts rate limits by itself",
}
_DATABASE_AWAY = "nothing can be read or written; figures are the last that were known."


def verdict(
    readiness: HealthSchema, failing_since: Callable[[str], datetime | None], now: datetime
) -> Verdict:
    """What is down, since when, and what that means; or that nothing is.

    Args:
        readiness: what the checks have just found.
        failing_since: tells it of a check.
        now: aware, UTC; a time on another day is told with its day.
    """
    failing = [name for name, check in readiness.checks.items() if check.status != "healthy"]

    def since(name: str) -> str:
        moment = failing_since(name) or now
        day = "" if moment.date() == now.date() else f"{moment:%-d %B}, "
        return f"since {day}{moment:%H:%M} UTC ({readiness.checks[name].error})"

    sentences = []
    if "database" in failing:
        if readiness.checks["database"].error == READ_ONLY:
            what = "The database has taken no changes", "what is there can be read."
        else:
            what = "The database has been unreachable", _DATABASE_AWAY
        sentences.append(f"{what[0]} {since('database')}: {what[1]}")
    if redis := [name for name in _REDIS_AWAY if name in failing]:
        which = "Redis" if len(redis) == 2 else f"The Redis of the {redis[0].replace('_', ' ')}"
        means = ", and ".join(_REDIS_AWAY[name] for name in redis)
        sentences.append(f"{which} has been unreachable {since(redis[0])}: {means}.")
    return Verdict(state=readiness.status, sentences=sentences or ["Everything is running"])

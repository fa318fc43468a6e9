"""Gauges of background jobs, which are those of all workers and instances."""

from math import nan

from app.core.telemetry.metrics import (
    JOB_ATTEMPTS,
    JOB_DURATION,
    JOBS,
    JOBS_ENDED,
    JOBS_OLDEST,
)
from app.repositories.background.job_statistics import JobStatistics

_STATES = "waiting", "delayed", "running", "failed"
_OUTCOMES = {"done": "successful", "failed": "failed", "cancelled": "canceled"}
_PERCENTILES = "p50", "p95", "p99"


class JobGauges:
    """Sets the gauges. A kind that was seen once stays, at 0: an alert on it has to end."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()

    def update(
        self, statistics: JobStatistics | None, durations: dict[str, list[float]] | None
    ) -> None:
        """Set every gauge. What could not be read, which is None here, is missing then."""
        if statistics is not None:
            self._kinds |= {kind for kind, _ in (*statistics.states, *statistics.events)}
        for kind in self._kinds:
            for state in _STATES:
                count = nan if statistics is None else statistics.states.get((kind, state), 0)
                JOBS.labels(kind, state).set(count)
            age = nan if statistics is None else max(0, statistics.ages.get(kind, 0))
            JOBS_OLDEST.labels(kind).set(age)
            for outcome, status in _OUTCOMES.items():
                count = nan if statistics is None else statistics.events.get((kind, status), 0)
                JOBS_ENDED.labels(kind, outcome).set(count)
            attempts = nan if statistics is None else statistics.events.get((kind, "picked"), 0)
            JOB_ATTEMPTS.labels(kind).set(attempts)
            seen = (durations or {}).get(kind, [nan] * 3)
            for percentile, seconds in zip(_PERCENTILES, seen, strict=True):
                JOB_DURATION.labels(kind, percentile).set(seconds)

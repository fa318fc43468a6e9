"""`OverviewService`: data of the overview page, also while the database or Redis is down."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, TypeVar, cast

import structlog

from app.admin.translation import N_
from app.api.runtime import Runtime
from app.core.cache import CacheMode
from app.core.cache.decorator import Lookup
from app.core.exceptions import AppException
from app.core.timeouts import with_timeout
from app.schemas.base import ResponseSchema
from app.schemas.monitoring.health import HealthSchema
from app.schemas.monitoring.operations import Operations
from app.schemas.monitoring.overview import LastKnown, Overview, StatusSummary
from app.schemas.monitoring.traffic_history import TrafficHistory
from app.schemas.monitoring.user_statistics import DashboardStats, Period, SignUps
from app.services.monitoring.health import READ_ONLY

Schema = TypeVar("Schema", bound=ResponseSchema)

log = structlog.get_logger("app.overview")

QUERY_TIMEOUT = 2.0
"""Seconds that the database may take for the figures; then the last known ones are shown."""


class _Stored(NamedTuple):
    figures: ResponseSchema
    at: datetime


class OverviewService:
    """Reads the figures of the overview. One for the process: it stores the last figures, which are
    shown while the database is away."""

    def __init__(self, parts: Runtime) -> None:
        self._statistics = parts.user_statistics
        self._health = parts.health
        self._metrics = parts.metrics
        self._operations = parts.operations
        database = parts.settings.database
        self._pool_limit = database.pool_size + database.max_overflow
        self._stored: dict[str, _Stored] = {}

    async def now(self, period: Period = Period.MONTH, others: Overview | None = None) -> Overview:
        """All figures, within a few seconds; an outage raises nothing.

        Args:
            period: of the sign-ups and the traffic.
            others: the same with another period; only these are read then.
        """
        if others is not None:
            sign_ups = await self._sign_ups(period, _mode(others.status.state))
            history = await self._history(period)
            changed = {"period": period, "sign_ups": sign_ups, "history": history}
            return others.model_copy(update=changed)
        # First and alone: work of the others would count as latency of the checks.
        readiness = await self._health.readiness()
        mode = _mode(readiness.status)
        get_stats = self._statistics.get_dashboard_stats
        get_operations = self._operations.get_operations
        stats, sign_ups, operations, history, requests, cache = await asyncio.gather(
            self._last_known("stats", DashboardStats, get_stats, mode),
            self._sign_ups(period, mode),
            self._last_known("operations", Operations, get_operations, mode),
            self._history(period),
            self._metrics.requests(with_operational=False),
            self._metrics.cache(),
        )
        at = datetime.now(UTC)
        return Overview(
            at=at,
            period=period,
            status=status_summary(readiness, self._health.failing_since, at),
            checks=readiness.checks,
            stats=stats,
            sign_ups=sign_ups,
            operations=operations,
            pool=self._metrics.database(),
            pool_limit=self._pool_limit,
            replicas=self._metrics.replicas().items,
            requests=requests,
            history=history,
            cache=cache,
        )

    async def _sign_ups(self, period: Period, mode: CacheMode) -> LastKnown[SignUps]:
        get_sign_ups = cast("Lookup", partial(self._statistics.get_sign_ups, period))
        return await self._last_known(f"sign-ups {period}", SignUps, get_sign_ups, mode)

    async def _history(self, period: Period) -> LastKnown[TrafficHistory]:
        get_history = cast("Lookup", partial(self._metrics.history.get_history, period))
        name = f"history {period}"
        return await self._last_known(name, TrafficHistory, get_history, CacheMode.DEFAULT)

    async def _last_known(
        self, name: str, schema: type[Schema], look_up: Lookup, mode: CacheMode
    ) -> LastKnown[Schema]:
        """The current figures, or the last ones this process had, marked as stale."""
        try:
            entry = await with_timeout(QUERY_TIMEOUT, lambda: look_up(mode=mode))
        except (AppException, OSError) as error:  # OSError: timeouts, lost connections
            log.warning("figures_unknown", figures=name, reason=repr(error))
            stored = self._stored.get(name)
            figures, at = stored or (None, None)
            return LastKnown[schema](figures=figures, is_stale=True, since=at)  # type: ignore[valid-type]  # pydantic makes it at run time
        figures = schema.model_validate_json(entry.body)
        self._stored[name] = _Stored(figures, datetime.now(UTC))
        return LastKnown[schema](figures=figures, is_stale=False, since=None)  # type: ignore[valid-type]  # as above


def _mode(state: str) -> CacheMode:
    """How to read figures of the database while the service is in a state."""
    return CacheMode.ONLY_IF_CACHED if state == "unhealthy" else CacheMode.DEFAULT


def status_summary(
    readiness: HealthSchema, failing_since: Callable[[str], datetime | None], now: datetime
) -> StatusSummary:
    """Sentences about each dependency that is down: since when, and with what effect.

    Args:
        readiness: result of the checks.
        failing_since: when a check began to fail, by its name.
        now: aware, UTC; a time on another day is written with its day.
    """
    failing = [name for name, check in readiness.checks.items() if check.status != "healthy"]

    def since(name: str) -> str:
        moment, reason = failing_since(name) or now, readiness.checks[name].error
        time = f"{moment:%H:%M}"
        if moment.date() != now.date():
            time = f"{moment:%-d %B}, {time}"
        return N_(f"since {time} UTC ({reason})")

    sentences = []
    if "database" in failing:
        since_words = since("database")
        sentences.append(
            N_(f"The database has not accepted changes {since_words}: existing data can be read.")
            if readiness.checks["database"].error == READ_ONLY
            else N_(
                f"The database has been unreachable {since_words}: nothing can be read or written, "
                "and the last known data is shown."
            )
        )
    if redis := [name for name in ("cache", "rate_limiter") if name in failing]:
        since_words = since(redis[0])
        if len(redis) == 2:
            sentence = N_(
                f"Redis has been unreachable {since_words}: responses are not cached, "
                "and each process counts rate limits separately."
            )
        elif redis == ["cache"]:
            sentence = N_(
                f"The Redis of the cache has been unreachable {since_words}: "
                "responses are not cached."
            )
        else:
            sentence = N_(
                f"The Redis of the rate limiter has been unreachable {since_words}: "
                "each process counts rate limits separately."
            )
        sentences.append(sentence)
    return StatusSummary(
        state=readiness.status, sentences=sentences or [N_("Everything is running")]
    )

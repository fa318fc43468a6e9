"""The dashboard's first view: what there is to know, also while half of it is away."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

import structlog
from pydantic_core import to_json
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.admin.verdict import verdict
from app.core.cache import AnswerCache
from app.core.config import DatabaseSettings
from app.core.exceptions import AppException, ServiceUnavailableException
from app.core.timeouts import with_timeout
from app.schemas.base import ResponseSchema
from app.schemas.dashboard import DashboardStats, SignUps
from app.schemas.health import HealthSchema
from app.schemas.overview import Known, Overview
from app.services.dashboard import STATS_TTL, DashboardService
from app.services.monitoring.health import HealthService
from app.services.monitoring.metrics import MetricsService

Figures = TypeVar("Figures", bound=ResponseSchema)

log = structlog.get_logger("app.overview")

PATIENCE = 2.0
"""Seconds that the database may take for the figures; then the last known ones are shown."""


class _Kept(NamedTuple):
    """Figures that this process had, and when."""

    figures: ResponseSchema
    at: datetime


class OverviewService:
    """Lives as long as the process, and keeps the last figures it had: an admin looks at this page
    when something is away."""

    def __init__(
        self,
        dashboard: DashboardService,
        answers: AnswerCache,
        health: HealthService,
        metrics: MetricsService,
        settings: DatabaseSettings,
    ) -> None:
        self._dashboard = dashboard
        self._answers = answers
        self._health = health
        self._metrics = metrics
        self._pool_limit = settings.pool_size + settings.max_overflow
        self._kept: dict[type[ResponseSchema], _Kept] = {}

    async def now(self) -> Overview:
        """Everything, within a few seconds, whatever is away. It raises nothing for that."""
        # By itself: the others' work for this process would count as the dependencies' latency.
        readiness = await self._health.readiness()
        count = self._dashboard.get_dashboard_stats_optimized
        stats, sign_ups, requests, cache = await asyncio.gather(
            # Under the key of `GET /dashboard/stats`, so that both say the same.
            self._known(DashboardStats, "get_dashboard_stats:", readiness, count),
            self._known(SignUps, "sign_ups", readiness, self._dashboard.get_sign_ups),
            self._metrics.requests(),
            self._metrics.cache(),
        )
        at = datetime.now(UTC)
        return Overview(
            at=at,
            verdict=verdict(readiness, self._health.failing_since, at),
            checks=readiness.checks,
            stats=stats,
            sign_ups=sign_ups,
            pool=self._metrics.database(),
            pool_limit=self._pool_limit,
            requests=requests,
            cache=cache,
        )

    async def _known(
        self,
        schema: type[Figures],
        key: str,
        readiness: HealthSchema,
        ask: Callable[[], Awaitable[Figures]],
    ) -> Known[Figures]:
        async def compute() -> bytes:
            if readiness.status == "unhealthy":  # known already: nobody has to wait for it
                raise ServiceUnavailableException
            return to_json(await ask())

        try:
            entry = await with_timeout(
                PATIENCE, lambda: self._answers.remember(key, STATS_TTL, compute)
            )
        except (AppException, DBAPIError, PoolTimeoutError, OSError) as error:  # OSError: timeouts
            log.warning("figures_unknown", figures=key, reason=repr(error))
            return self._last(schema)
        figures = schema.model_validate_json(entry.body)
        self._kept[schema] = _Kept(figures, datetime.now(UTC))
        return Known[schema](figures=figures, is_stale=False, since=None)  # type: ignore[valid-type]  # pydantic makes it at run time

    def _last(self, schema: type[Figures]) -> Known[Figures]:
        kept = self._kept.get(schema)
        figures = kept.figures if kept else None
        return Known[schema](figures=figures, is_stale=True, since=kept and kept.at)  # type: ignore[valid-type]  # as above

"""Data of the dashboard's overview page."""

from datetime import datetime
from typing import Generic, TypeVar

from app.schemas.base import ResponseSchema
from app.schemas.dashboard import DashboardStats, SignUps
from app.schemas.health import CheckSchema
from app.schemas.metrics import (
    CacheMetricsSchema,
    DatabaseMetricsSchema,
    RequestMetricsSchema,
)

Figures = TypeVar("Figures")


class Verdict(ResponseSchema):
    """The state of the service in words.

    Attributes:
        state: as in /health/ready.
        sentences: a summary, then one for each failed dependency with its consequences.
    """

    state: str
    sentences: list[str]


class Known(ResponseSchema, Generic[Figures]):
    """Figures, current or stale.

    Attributes:
        figures: None if this process never loaded any.
        is_stale: whether loading failed and these are the last ones.
        since: time of the last successful load, if stale.
    """

    figures: Figures | None
    is_stale: bool
    since: datetime | None


class Overview(ResponseSchema):
    """All data of the page, at one moment."""

    at: datetime
    verdict: Verdict
    checks: dict[str, CheckSchema]
    stats: Known[DashboardStats]
    sign_ups: Known[SignUps]
    pool: DatabaseMetricsSchema
    pool_limit: int
    requests: RequestMetricsSchema
    cache: CacheMetricsSchema

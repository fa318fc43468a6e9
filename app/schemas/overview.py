"""What the dashboard's first view shows."""

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
    """How things are, in words.

    Attributes:
        state: as /health/ready has it.
        sentences: the first says it; others, one for each part that is away, say what it means.
    """

    state: str
    sentences: list[str]


class Known(ResponseSchema, Generic[Figures]):
    """Figures, and whether they are those of now.

    Attributes:
        figures: None where this process never had any.
        is_stale: whether they could not be had now, and are the last that were.
        since: when they were had last, where they are stale.
    """

    figures: Figures | None
    is_stale: bool
    since: datetime | None


class Overview(ResponseSchema):
    """All of it, at one moment."""

    at: datetime
    verdict: Verdict
    checks: dict[str, CheckSchema]
    stats: Known[DashboardStats]
    sign_ups: Known[SignUps]
    pool: DatabaseMetricsSchema
    pool_limit: int
    requests: RequestMetricsSchema
    cache: CacheMetricsSchema

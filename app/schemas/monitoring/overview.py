"""Schemas of the overview page of the admin pages."""

from datetime import datetime
from typing import Generic, TypeVar

from app.schemas.base import ResponseSchema
from app.schemas.monitoring.health import CheckSchema
from app.schemas.monitoring.metrics import (
    CacheMetricsSchema,
    DatabaseMetricsSchema,
    ReplicaSchema,
    RequestMetricsSchema,
)
from app.schemas.monitoring.operations import Operations
from app.schemas.monitoring.traffic_history import TrafficHistory
from app.schemas.monitoring.user_statistics import DashboardStats, Period, SignUps

T = TypeVar("T")


class StatusSummary(ResponseSchema):
    """State of the service in sentences.

    Attributes:
        state: as in /health/ready.
        sentences: one for each dependency that is down, or one that says that none is.
    """

    state: str
    sentences: list[str]


class LastKnown(ResponseSchema, Generic[T]):
    """Current figures, or the last known ones where they cannot be read.

    Attributes:
        figures: None where this process has never read any.
        is_stale: whether these are the last known ones.
        since: when stale figures were read.
    """

    figures: T | None
    is_stale: bool
    since: datetime | None


class Overview(ResponseSchema):
    """All data of the page, at one moment."""

    at: datetime
    period: Period
    status: StatusSummary
    checks: dict[str, CheckSchema]
    stats: LastKnown[DashboardStats]
    sign_ups: LastKnown[SignUps]
    operations: LastKnown[Operations]
    pool: DatabaseMetricsSchema
    pool_limit: int
    replicas: list[ReplicaSchema]
    requests: RequestMetricsSchema
    history: LastKnown[TrafficHistory]
    cache: CacheMetricsSchema

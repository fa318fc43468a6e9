"""Metrics endpoints: JSON, and text for Prometheus."""

from typing import Annotated, Any

from fastapi import Response

from app.api.deps.auth import Requires, Scraper
from app.api.deps.services import Metrics
from app.api.responses import errors
from app.api.routing import Router
from app.core.permissions import Permission
from app.schemas.access.session import Principal
from app.schemas.monitoring.metrics import (
    CacheMetricsSchema,
    DatabaseMetricsSchema,
    ReplicaListSchema,
    RequestMetricsSchema,
)

router = Router(prefix="/metrics", tag="metrics", description="What goes on inside.")

Reader = Annotated[Principal, Requires(Permission.METRICS_READ)]


class Exposition(Response):
    """Prometheus' text format. The type is no attribute of the class: FastAPI's document would
    tell it of refusals as well."""

    def __init__(self, content: str, **options: Any) -> None:
        super().__init__(content, media_type="text/plain; version=0.0.4", **options)


_EXPOSITION: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The figures",
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": "# HELP database_pool_size Connections that are kept open at most.\n"
                "# TYPE database_pool_size gauge\ndatabase_pool_size 5.0\n",
            }
        },
    }
}


@router.get(
    "/database",
    operation_id="database_metrics",
    response_description="State of the pool",
    responses=errors(401, 403),
)
async def database_metrics(metrics: Metrics, _: Reader) -> DatabaseMetricsSchema:
    """The connection pool of the process that answers, at this moment."""
    return metrics.database()


@router.get(
    "/replicas",
    operation_id="replica_metrics",
    response_description="State of each replica",
    responses=errors(401, 403),
)
async def replica_metrics(metrics: Metrics, _: Reader) -> ReplicaListSchema:
    """The read replicas, their lag, and why one is not read."""
    return metrics.replicas()


@router.get(
    "/cache",
    operation_id="cache_metrics",
    response_description="Hit rates and sizes",
    responses=errors(401, 403),
)
async def cache_metrics(metrics: Metrics, _: Reader) -> CacheMetricsSchema:
    """How useful the caches were in the last five minutes, and what their Redis holds."""
    return await metrics.cache()


@router.get(
    "/requests",
    operation_id="request_metrics",
    response_description="Rates, errors and percentiles",
    responses=errors(401, 403),
)
async def request_metrics(metrics: Metrics, _: Reader) -> RequestMetricsSchema:
    """What all processes answered in the last five minutes, in all and by route."""
    return await metrics.requests()


@router.get(
    "/prometheus",
    operation_id="prometheus_metrics",
    response_class=Exposition,
    status_code=200,  # FastAPI cannot guess it from a response class of our own
    dependencies=[Scraper],
    responses={**_EXPOSITION, **errors(401, 403)},
)
async def prometheus_metrics(metrics: Metrics) -> str:
    """All figures of all processes in Prometheus' text format, also for a caller with
    TELEMETRY_SCRAPE_TOKEN."""
    return await metrics.exposition()

"""Figures for superusers, and for Prometheus."""

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from app.api.responses import errors
from app.api.types import CurrentSuperuser, Metrics, Scraper
from app.schemas import CacheMetricsSchema, DatabaseMetricsSchema, RequestMetricsSchema

router = APIRouter(prefix="/metrics", tags=["metrics"])


class Exposition(PlainTextResponse):
    """Prometheus' text format."""

    media_type = "text/plain; version=0.0.4"


@router.get("/database", operation_id="database_metrics", responses=errors(401, 403))
async def database_metrics(metrics: Metrics, _: CurrentSuperuser) -> DatabaseMetricsSchema:
    """The connection pool of the process that answers, at this moment."""
    return metrics.database()


@router.get("/cache", operation_id="cache_metrics", responses=errors(401, 403))
async def cache_metrics(metrics: Metrics, _: CurrentSuperuser) -> CacheMetricsSchema:
    """How useful the caches were in the last five minutes, and what their Redis holds."""
    return await metrics.cache()


@router.get("/requests", operation_id="request_metrics", responses=errors(401, 403))
async def request_metrics(metrics: Metrics, _: CurrentSuperuser) -> RequestMetricsSchema:
    """What all processes answered in the last five minutes, in all and by route."""
    return await metrics.requests()


@router.get(
    "/prometheus",
    operation_id="prometheus_metrics",
    response_class=Exposition,
    dependencies=[Scraper],
    responses=errors(401, 403),
)
async def prometheus_metrics(metrics: Metrics) -> str:
    """All figures of all processes in Prometheus' text format, for superusers and for whoever
    has TELEMETRY_SCRAPE_TOKEN."""
    return await metrics.exposition()

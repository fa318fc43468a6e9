"""Figures for superusers."""

from fastapi import APIRouter

from app.api.responses import errors
from app.api.types import CurrentSuperuser, Metrics
from app.schemas import DatabaseMetricsSchema

router = APIRouter(prefix="/metrics", tags=["metrics"])


@router.get("/database", operation_id="database_metrics", responses=errors(401, 403))
async def database_metrics(metrics: Metrics, _: CurrentSuperuser) -> DatabaseMetricsSchema:
    """The connection pool of the process that answers, at this moment."""
    return metrics.database()

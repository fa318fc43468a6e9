"""Health endpoints for probes."""

from typing import Any

from fastapi import Response

from app.api.deps.services import Health
from app.api.responses import UNKNOWN_PARAMETER
from app.api.routing import Router
from app.schemas.monitoring.health import HealthSchema, LiveSchema

router = Router(
    prefix="/health",
    tag="health",
    description="For uptime probes and load balancers; never limited.",
)
_unhealthy: dict[int | str, dict[str, Any]] = UNKNOWN_PARAMETER | {
    503: {"model": HealthSchema, "description": "A check failed"}
}


def _answer(report: HealthSchema, response: Response) -> HealthSchema:
    """Set status 503 if unhealthy or stopping, for `curl -f` and load balancers."""
    response.status_code = 503 if report.status in {"unhealthy", "stopping"} else 200
    if response.status_code == 503:
        response.headers["Retry-After"] = "1"
    return report


@router.get(
    "",
    operation_id="health",
    response_description="Healthy or degraded",
    response_model_exclude_none=True,
    responses=_unhealthy,
)
async def health(service: Health, response: Response) -> HealthSchema:
    """State of the service and all of its dependencies."""
    return _answer(await service.report(), response)


@router.get(
    "/live",
    operation_id="live",
    response_description="The process answers",
    responses=UNKNOWN_PARAMETER,
)
async def live() -> LiveSchema:
    """Liveness: whether the process answers, without checking dependencies."""
    return LiveSchema()


@router.get(
    "/ready",
    operation_id="ready",
    response_description="Requests can be served",
    response_model_exclude_none=True,
    responses=_unhealthy,
)
async def ready(service: Health, response: Response) -> HealthSchema:
    """Readiness: whether requests can be served, with or without Redis."""
    return _answer(await service.readiness_for_traffic(), response)

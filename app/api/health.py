"""What probes ask for."""

from typing import Any

from fastapi import Response

from app.api.deps.services import Health
from app.api.responses import MISSPELT
from app.api.routing import Router
from app.schemas.health import HealthSchema, LiveSchema

router = Router(prefix="/health", tags=["health"])
_unhealthy: dict[int | str, dict[str, Any]] = MISSPELT | {
    503: {"model": HealthSchema, "description": "A check failed"}
}


def _answer(report: HealthSchema, response: Response) -> HealthSchema:
    """503 where it is unhealthy or stopping, so that `curl -f` and load balancers notice."""
    response.status_code = 503 if report.status in {"unhealthy", "stopping"} else 200
    if response.status_code == 503:
        response.headers["Retry-After"] = "1"
    return report


@router.get("", operation_id="health", response_model_exclude_none=True, responses=_unhealthy)
async def health(service: Health, response: Response) -> HealthSchema:
    """Whether the service and everything it uses is well."""
    return _answer(await service.report(), response)


@router.get("/live", operation_id="live", responses=MISSPELT)
async def live() -> LiveSchema:
    """Whether the process answers; touches nothing else."""
    return LiveSchema()


@router.get("/ready", operation_id="ready", response_model_exclude_none=True, responses=_unhealthy)
async def ready(service: Health, response: Response) -> HealthSchema:
    """Whether requests can be served, if need be without Redis."""
    return _answer(await service.readiness_for_traffic(), response)

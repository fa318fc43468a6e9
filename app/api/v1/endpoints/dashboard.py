"""Endpoints of user statistics."""

from fastapi import Request, Response

from app.api.deps.services import UserStatistics
from app.api.responses import NOT_MODIFIED, errors
from app.api.routing import Router
from app.core.cache import cached_response
from app.schemas.monitoring.user_statistics import DashboardStats

router = Router(prefix="/dashboard", tag="dashboard", description="Statistics of users.")


@router.get(
    "/stats",
    operation_id="get_dashboard_stats",
    response_description="The counts",
    response_model=DashboardStats,
    responses=NOT_MODIFIED | errors(401, 403),
)
async def get_dashboard_stats(
    statistics: UserStatistics, request: Request, response: Response
) -> Response:
    """How many users there are, of each kind; up to a minute old."""
    return await cached_response(request, response, statistics.get_dashboard_stats)

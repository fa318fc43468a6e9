"""The dashboard's figures."""

from app.api.deps.services import Dashboard
from app.api.responses import NOT_MODIFIED, errors
from app.api.routing import Router
from app.core.cache import cache
from app.schemas.dashboard import DashboardStats

router = Router(prefix="/dashboard", tags=["dashboard"])


@router.get("/stats", operation_id="get_dashboard_stats", responses=NOT_MODIFIED | errors(401, 403))
@cache(expire=60)
async def get_dashboard_stats(dashboard: Dashboard) -> DashboardStats:
    """How many users there are, of each kind; up to a minute old."""
    return await dashboard.get_dashboard_stats_optimized()

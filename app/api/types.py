"""What endpoints declare their parameters with."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query

from app.api.deps.auth import get_caller, get_current_superuser, get_current_user, get_scraper
from app.api.deps.services import (
    Deadline,
    Session,
    get_auth_service,
    get_bulk_service,
    get_dashboard_service,
    get_device,
    get_export_service,
    get_health_service,
    get_metrics_service,
    get_session_service,
    get_user_list_service,
    get_user_service,
    limited,
    limited_unless_superuser,
    limited_user,
)
from app.api.deps.users_bulk import get_attempt, get_bulk_rows
from app.core.device import Device
from app.core.pagination import CursorParams, PageParams
from app.schemas.base import MAX_BIGINT
from app.schemas.bulk import BulkRow
from app.schemas.session import Principal
from app.schemas.user_list import ExportFormat, UserFilters
from app.services.auth.service import AuthService
from app.services.dashboard import DashboardService
from app.services.idempotency import Attempt
from app.services.monitoring.health import HealthService
from app.services.monitoring.metrics import MetricsService
from app.services.session import SessionService
from app.services.user.bulk import BulkService
from app.services.user.export import ExportService
from app.services.user.listing import UserListService
from app.services.user.service import UserService

DBSession = Session
Caller = Annotated[Principal | None, Depends(get_caller)]
CurrentUser = Annotated[Principal, Depends(get_current_user)]
CurrentSuperuser = Annotated[Principal, Depends(get_current_superuser)]
ClientDevice = Annotated[Device, Depends(get_device)]
PaginationParams = Annotated[PageParams, Query()]
CursorPaginationParams = Annotated[CursorParams, Query()]
Filters = Annotated[UserFilters, Query()]
FileFormat = Annotated[ExportFormat, Query(alias="format", examples=["ndjson"])]
ByteOrderMark = Annotated[
    bool, Query(alias="bom", description="begin a csv so that Excel reads it as UTF-8")
]
UserId = Annotated[int, Path(ge=1, le=MAX_BIGINT, description="the user's id", examples=[1])]
SessionId = Annotated[UUID, Path(description="the session's id")]
BulkRows = Annotated[list[BulkRow], Depends(get_bulk_rows)]
IdempotentAttempt = Annotated[Attempt | None, Depends(get_attempt)]
DryRun = Annotated[bool, Query(description="check only: create nothing, and hash nothing")]

LongDeadline = Depends(Deadline(120))
Scraper = Depends(get_scraper)
Limited = Depends(limited)
LimitedUser = Depends(limited_user)
LimitedUnlessSuperuser = Depends(limited_unless_superuser)

Auth = Annotated[AuthService, Depends(get_auth_service)]
Bulk = Annotated[BulkService, Depends(get_bulk_service)]
Dashboard = Annotated[DashboardService, Depends(get_dashboard_service)]
Health = Annotated[HealthService, Depends(get_health_service)]
Metrics = Annotated[MetricsService, Depends(get_metrics_service)]
Sessions = Annotated[SessionService, Depends(get_session_service)]
Exports = Annotated[ExportService, Depends(get_export_service)]
UserLists = Annotated[UserListService, Depends(get_user_list_service)]
Users = Annotated[UserService, Depends(get_user_service)]

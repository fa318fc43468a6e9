"""The rules of the application."""

from app.services.auth import AuthService, Tokens
from app.services.base import BaseService
from app.services.bulk import BulkService
from app.services.dashboard import DashboardService
from app.services.export import ExportService
from app.services.gauges import Watched
from app.services.health import HealthService, RedisCheck
from app.services.idempotency import Answer, Attempt, IdempotencyService
from app.services.metrics import MetricsService
from app.services.overview import OverviewService
from app.services.principal_cache import PrincipalCache
from app.services.seed import SeedService
from app.services.session import Authenticator, SessionService
from app.services.user import UserService
from app.services.user_desk import Change, Outcome, UserDesk
from app.services.user_list import UserListService
from app.services.user_upload import Preview, UserUpload
from app.services.visitors import Visitors

__all__ = [
    "Answer",
    "Attempt",
    "AuthService",
    "Authenticator",
    "BaseService",
    "BulkService",
    "Change",
    "DashboardService",
    "ExportService",
    "HealthService",
    "IdempotencyService",
    "MetricsService",
    "Outcome",
    "OverviewService",
    "Preview",
    "PrincipalCache",
    "RedisCheck",
    "SeedService",
    "SessionService",
    "Tokens",
    "UserDesk",
    "UserListService",
    "UserService",
    "UserUpload",
    "Visitors",
    "Watched",
]

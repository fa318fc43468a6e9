"""What goes over the wire."""

from app.schemas.auth import LoginRequest, PasswordChange, RefreshRequest, TokenSchema
from app.schemas.base import MAX_BIGINT, NewPassword
from app.schemas.bulk import (
    BULK_EXAMPLE,
    BulkReport,
    BulkRow,
    BulkUserCreate,
    RefusedRow,
    UserImport,
    read_imported,
)
from app.schemas.dashboard import DashboardStats, SignUps, SignUpsOfDay
from app.schemas.error import ErrorSchema
from app.schemas.health import CheckSchema, HealthSchema, LiveSchema
from app.schemas.metrics import (
    CacheMetricsSchema,
    DatabaseMetricsSchema,
    HashingSchema,
    HitRateSchema,
    LatencySchema,
    RedisUsageSchema,
    RequestMetricsSchema,
    RouteMetricsSchema,
)
from app.schemas.overview import Known, Overview, Verdict
from app.schemas.session import Principal, SessionPage, SessionSchema
from app.schemas.user import (
    NewUser,
    SignUpOrCreate,
    UserCreate,
    UserSchema,
    UserSignUp,
    UserUpdate,
)
from app.schemas.user_list import ExportFormat, SortBy, UserCursorPage, UserFilters, UserPage

__all__ = [
    "BULK_EXAMPLE",
    "MAX_BIGINT",
    "BulkReport",
    "BulkRow",
    "BulkUserCreate",
    "CacheMetricsSchema",
    "CheckSchema",
    "DashboardStats",
    "DatabaseMetricsSchema",
    "ErrorSchema",
    "ExportFormat",
    "HashingSchema",
    "HealthSchema",
    "HitRateSchema",
    "Known",
    "LatencySchema",
    "LiveSchema",
    "LoginRequest",
    "NewPassword",
    "NewUser",
    "Overview",
    "PasswordChange",
    "Principal",
    "RedisUsageSchema",
    "RefreshRequest",
    "RefusedRow",
    "RequestMetricsSchema",
    "RouteMetricsSchema",
    "SessionPage",
    "SessionSchema",
    "SignUpOrCreate",
    "SignUps",
    "SignUpsOfDay",
    "SortBy",
    "TokenSchema",
    "UserCreate",
    "UserCursorPage",
    "UserFilters",
    "UserImport",
    "UserPage",
    "UserSchema",
    "UserSignUp",
    "UserUpdate",
    "Verdict",
    "read_imported",
]

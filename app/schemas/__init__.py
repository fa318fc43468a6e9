"""What goes over the wire."""

from app.schemas.auth import LoginRequest, PasswordChange, RefreshRequest, TokenSchema
from app.schemas.base import MAX_BIGINT
from app.schemas.error import ErrorSchema
from app.schemas.health import CheckSchema, HealthSchema, LiveSchema
from app.schemas.metrics import DatabaseMetricsSchema
from app.schemas.session import Principal, SessionSchema
from app.schemas.user import UserCreate, UserSchema, UserUpdate
from app.schemas.user_list import UserCursorPage, UserFilters, UserPage

__all__ = [
    "MAX_BIGINT",
    "CheckSchema",
    "DatabaseMetricsSchema",
    "ErrorSchema",
    "HealthSchema",
    "LiveSchema",
    "LoginRequest",
    "PasswordChange",
    "Principal",
    "RefreshRequest",
    "SessionSchema",
    "TokenSchema",
    "UserCreate",
    "UserCursorPage",
    "UserFilters",
    "UserPage",
    "UserSchema",
    "UserUpdate",
]

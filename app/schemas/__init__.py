"""What goes over the wire."""

from app.schemas.auth import LoginRequest, RefreshRequest, TokenSchema
from app.schemas.base import MAX_BIGINT
from app.schemas.error import ErrorSchema
from app.schemas.health import CheckSchema, HealthSchema, LiveSchema
from app.schemas.user import UserCreate, UserSchema, UserUpdate

__all__ = [
    "MAX_BIGINT",
    "CheckSchema",
    "ErrorSchema",
    "HealthSchema",
    "LiveSchema",
    "LoginRequest",
    "RefreshRequest",
    "TokenSchema",
    "UserCreate",
    "UserSchema",
    "UserUpdate",
]

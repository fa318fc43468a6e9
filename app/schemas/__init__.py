"""Bodies of requests and responses."""

from app.schemas.user import UserCreate, UserSchema, UserUpdate

__all__ = ["UserCreate", "UserSchema", "UserUpdate"]

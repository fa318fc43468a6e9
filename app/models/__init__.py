"""SQLAlchemy models."""

from app.models.idempotency import KeptAnswer
from app.models.session import Session
from app.models.user import NAMES, User

__all__ = ["NAMES", "KeptAnswer", "Session", "User"]

"""SQLAlchemy models."""

from app.models.idempotency import IdempotentAnswer
from app.models.session import Session
from app.models.user import SEARCHED_TEXT, User

__all__ = ["SEARCHED_TEXT", "IdempotentAnswer", "Session", "User"]

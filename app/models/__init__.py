"""The tables."""

from app.models.session import Session
from app.models.user import NAMES, User

__all__ = ["NAMES", "Session", "User"]

"""The rules of the application."""

from app.services.auth import AuthService, Tokens
from app.services.base import BaseService
from app.services.health import HealthService
from app.services.seed import SeedService
from app.services.user import UserService

__all__ = ["AuthService", "BaseService", "HealthService", "SeedService", "Tokens", "UserService"]

"""Login, sessions of pages, and the cache of principals."""

from app.services.auth.service import AuthService

__all__ = ["AuthService"]

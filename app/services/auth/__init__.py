"""Login, token refresh, password change, and authentication of the admin pages."""

from app.services.auth.service import AuthService

__all__ = ["AuthService"]

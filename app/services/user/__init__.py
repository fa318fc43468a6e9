"""Users: creation, changes, lists, export and upload."""

from app.services.user.service import UserService

__all__ = ["UserService"]

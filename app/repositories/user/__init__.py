"""Queries of users."""

from app.repositories.user.repository import UserRepository

__all__ = ["UserRepository"]

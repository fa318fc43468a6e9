"""Queries on users: single users, lists, statistics."""

from app.repositories.user.repository import UserRepository

__all__ = ["UserRepository"]

"""Queries, and nothing else."""

from app.repositories.base import BaseRepository
from app.repositories.idempotency import KeptAnswerRepository
from app.repositories.session import SessionRepository
from app.repositories.user import UserCounts, UserRepository

__all__ = ["BaseRepository", "SessionRepository", "UserCounts", "UserRepository"]
__all__ = ["BaseRepository", "KeptAnswerRepository", "SessionRepository", "UserRepository"]

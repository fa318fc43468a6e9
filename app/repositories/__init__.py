"""Queries, and nothing else."""

from app.repositories.base import BaseRepository
from app.repositories.idempotency import KeptAnswerRepository
from app.repositories.session import SessionRepository
from app.repositories.user import PROFILE, UserCounts, UserRepository

__all__ = [
    "PROFILE",
    "BaseRepository",
    "KeptAnswerRepository",
    "SessionRepository",
    "UserCounts",
    "UserRepository",
]

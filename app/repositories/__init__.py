"""Queries, and nothing else."""

from app.repositories.base import BaseRepository
from app.repositories.idempotency import KeptAnswerRepository
from app.repositories.new_users import NewUserRepository
from app.repositories.session import SessionRepository
from app.repositories.user import UserRepository
from app.repositories.user_list import Rows, UserListRepository
from app.repositories.user_queries import PROFILE, Part
from app.repositories.user_statistics import UserCounts, UserStatisticsRepository

__all__ = [
    "PROFILE",
    "BaseRepository",
    "KeptAnswerRepository",
    "NewUserRepository",
    "Part",
    "Rows",
    "SessionRepository",
    "UserCounts",
    "UserListRepository",
    "UserRepository",
    "UserStatisticsRepository",
]

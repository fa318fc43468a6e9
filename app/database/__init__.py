"""The database: engine, sessions, migrations, and what its errors mean."""

from app.database.base import Base, Timestamped
from app.database.connection import close_engine, get_db, get_engine, get_session_maker, ping
from app.database.errors import translate, violated_constraint

__all__ = [
    "Base",
    "Timestamped",
    "close_engine",
    "get_db",
    "get_engine",
    "get_session_maker",
    "ping",
    "translate",
    "violated_constraint",
]

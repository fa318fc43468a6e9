"""Database access: engine, sessions, connection pool, error translation and migrations."""

from app.database.base import Base, Timestamped
from app.database.connection import (
    close_engine,
    get_db,
    get_engine,
    get_session_maker,
    has_files,
    ping,
)
from app.database.errors import translate, translated_errors, violated_constraint
from app.database.explain import PlanEstimate, estimate
from app.database.pool import PoolUsage, ServerConnections, pool_usage, server_connections
from app.database.reads import Reads
from app.database.servers.failover import (
    Disconnects,
    ReadOnlyServerError,
    begin_on_primary,
    ping_primary,
)
from app.database.statements import watch_statements

__all__ = [
    "Base",
    "Disconnects",
    "PlanEstimate",
    "PoolUsage",
    "ReadOnlyServerError",
    "Reads",
    "ServerConnections",
    "Timestamped",
    "begin_on_primary",
    "close_engine",
    "estimate",
    "get_db",
    "get_engine",
    "get_session_maker",
    "has_files",
    "ping",
    "ping_primary",
    "pool_usage",
    "server_connections",
    "translate",
    "translated_errors",
    "violated_constraint",
    "watch_statements",
]

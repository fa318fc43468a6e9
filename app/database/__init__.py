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
from app.database.replicas.opening import open_replicas
from app.database.replicas.reads import list_reads
from app.database.replicas.replica import ReplicaStatus
from app.database.replicas.replicas import Replicas
from app.database.replicas.session import mark_commit, read_list, session_info
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
    "ReplicaStatus",
    "Replicas",
    "ServerConnections",
    "Timestamped",
    "begin_on_primary",
    "close_engine",
    "estimate",
    "get_db",
    "get_engine",
    "get_session_maker",
    "has_files",
    "list_reads",
    "mark_commit",
    "open_replicas",
    "ping",
    "ping_primary",
    "pool_usage",
    "read_list",
    "server_connections",
    "session_info",
    "translate",
    "translated_errors",
    "violated_constraint",
    "watch_statements",
]

"""How long statements take, and how full the server is."""

from time import perf_counter
from typing import Any, NamedTuple

import structlog
from sqlalchemy import event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.telemetry import current_timing
from app.core.telemetry.metrics import QUERY_DURATION, SLOW_QUERIES
from app.core.telemetry.requests import UNMATCHED

log = structlog.get_logger("app.database")

MAX_SHAPE = 1000
"""Characters of a slow statement that are logged."""


def watch_statements(engine: AsyncEngine, slow_after: float) -> None:
    """Time every statement on `engine`, and log those that are slow: their text with placeholders,
    never the values, which are people and hashes.

    Args:
        engine: whose statements.
        slow_after: seconds.
    """

    def ended(context: Any, statement: str | None) -> None:
        seconds = perf_counter() - context.began
        QUERY_DURATION.observe(seconds)
        timing = current_timing()
        if timing is not None:
            timing.waited("db", seconds)
        if seconds >= slow_after:
            _tell(statement or "", seconds, timing.route if timing else None)

    def begin(*told: Any) -> None:
        *_, context, _ = told
        context.began = perf_counter()

    def succeeded(*told: Any) -> None:
        _, _, statement, _, context, _ = told
        ended(context, statement)

    def failed(failure: ExceptionContext) -> None:
        # One that was cancelled at a deadline comes here as well.
        if hasattr(failure.execution_context, "began"):
            ended(failure.execution_context, failure.statement)

    event.listen(engine.sync_engine, "before_cursor_execute", begin)
    event.listen(engine.sync_engine, "after_cursor_execute", succeeded)
    event.listen(engine.sync_engine, "handle_error", failed)


def _tell(statement: str, seconds: float, route: str | None) -> None:
    SLOW_QUERIES.labels(route or UNMATCHED).inc()
    log.warning(
        "slow_query",
        statement=" ".join(statement.split())[:MAX_SHAPE],
        duration_ms=round(seconds * 1000, 2),
        route=route,
    )


class ServerConnections(NamedTuple):
    """How full the server is: everybody's connections, and how many it admits."""

    used: int
    maximum: int


async def server_connections(engine: AsyncEngine) -> ServerConnections:
    """Ask the server.

    Raises:
        Exception: whatever keeps it from answering.
    """
    async with engine.connect() as connection:
        row = await connection.execute(
            text(
                "SELECT (SELECT sum(numbackends) FROM pg_stat_database)::int, "
                "current_setting('max_connections')::int"
            )
        )
        used, maximum = row.one()
    return ServerConnections(used, maximum)

"""Duration of SQL statements, and the log of slow ones."""

from time import perf_counter
from typing import Any

import structlog
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.telemetry import current_timing
from app.core.telemetry.metrics import QUERY_DURATION, SLOW_QUERIES
from app.core.telemetry.request_counters import UNMATCHED

log = structlog.get_logger("app.database")

MAX_SHAPE = 1000
"""Characters of a slow statement that are logged."""


def watch_statements(engine: AsyncEngine, slow_after: float) -> None:
    """Measure every statement on `engine`, and log slow ones: the text with placeholders, never the
    values, which are personal data and hashes.

    Args:
        engine: not yet connected.
        slow_after: seconds from which on a statement is slow.
    """

    def ended(context: Any, statement: str | None) -> None:
        seconds = perf_counter() - context.began
        QUERY_DURATION.observe(seconds)
        timing = current_timing()
        if timing is not None:
            timing.queried(seconds)
        if seconds >= slow_after:
            _log_slow(statement or "", seconds, timing.route if timing else None)

    def begin(*arguments: Any) -> None:
        *_, context, _ = arguments
        context.began = perf_counter()

    def succeeded(*arguments: Any) -> None:
        _, _, statement, _, context, _ = arguments
        ended(context, statement)

    def failed(failure: ExceptionContext) -> None:
        # Also called for statements that were cancelled at a deadline.
        if hasattr(failure.execution_context, "began"):
            ended(failure.execution_context, failure.statement)

    event.listen(engine.sync_engine, "before_cursor_execute", begin)
    event.listen(engine.sync_engine, "after_cursor_execute", succeeded)
    event.listen(engine.sync_engine, "handle_error", failed)


def _log_slow(statement: str, seconds: float, route: str | None) -> None:
    SLOW_QUERIES.labels(route or UNMATCHED).inc()
    log.warning(
        "slow_query",
        statement=" ".join(statement.split())[:MAX_SHAPE],
        duration_ms=round(seconds * 1000, 2),
        route=route,
    )

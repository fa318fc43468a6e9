"""Structured logs: JSON in production, readable in development; one way for ours and others'."""

import json
import logging
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import structlog
from asgi_correlation_id import correlation_id
from structlog.types import EventDict, Processor, WrappedLogger

from app.core.config import Settings
from app.core.output import QueuedOutput, queue_standard_output
from app.core.telemetry.traces import trace_id


def _add_request_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if request_id := correlation_id.get():
        event.setdefault("request_id", request_id)
    return event


def _add_trace_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if found := trace_id():
        event.setdefault("trace_id", found)
    return event


def _drop_colours(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """uvicorn says everything twice, the second time in colours."""
    event.pop("color_message", None)
    return event


@lru_cache
def _encoder(default: Callable[[Any], Any]) -> json.JSONEncoder:
    """Made once: `json.dumps` makes one for each line that is not to have NaN."""
    return json.JSONEncoder(allow_nan=False, default=default)


def _as_json(event: EventDict, *, default: Callable[[Any], Any]) -> str:
    """A line, whatever was logged: JSON has no NaN, no tuples for keys and no circles."""
    try:
        return _encoder(default).encode(event)
    except (TypeError, ValueError):
        shown = {k: v if isinstance(v, str) else repr(v) for k, v in event.items()}
        return json.dumps(shown)


class _Handler(logging.StreamHandler[Any]):
    """Leaves it to a queue when lines are written."""

    def flush(self) -> None:
        if not isinstance(self.stream, QueuedOutput):
            super().flush()


_stamp: Processor = structlog.processors.TimeStamper(fmt="iso", utc=True)
_DIRECT: list[Processor] = []
"""How an event of `log_directly` becomes a line, by the last `configure_logging`."""


def log_directly(logger: str, level: int, event: str, **fields: Any) -> None:
    """Write one line like any other, past the loggers' machinery: for the line of each request,
    at a fifth of the time.

    Args:
        logger: its name.
        level: of `logging`.
        event: what happened.
        fields: about it; no exception.
    """
    root = logging.getLogger()
    if level < root.level:
        return
    name = logging.getLevelName(level).lower()
    line: Any = {"event": event, **fields, "level": name, "logger": logger}
    for process in _DIRECT:
        line = process(None, name, line)
    for handler in root.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream.write(f"{line}\n")
            handler.flush()


def configure_logging(settings: Settings) -> None:
    """Send our logs and those of every library through one formatter to standard output.

    uvicorn's access log is silenced: `AccessLog` writes the one line a request gets.
    """
    queue_standard_output()
    level = logging.getLevelName(settings.log.level)
    ids: list[Processor] = [_add_request_id]
    if settings.telemetry.otlp_endpoint is not None:
        ids.append(_add_trace_id)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        *ids,
        _stamp,
    ]
    is_json = settings.log.format == "json" or (
        settings.log.format == "auto" and settings.is_production
    )
    # No local variables in tracebacks: they may be passwords.
    as_dicts = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    rendering: list[Processor] = (
        [
            structlog.processors.ExceptionRenderer(as_dicts),
            structlog.processors.JSONRenderer(_as_json),
        ]
        if is_json
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    _DIRECT[:] = [*ids, _stamp, rendering[-1]]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(), _drop_colours],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True
    # Each look at the revision is announced in two lines; `migrate` says what it did itself.
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    # They warn of each request id replaced and each form malformed: anybody could fill the log.
    for name in ("asgi_correlation_id", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)

"""Structured logs: JSON in production, readable in development; libraries' included."""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TextIO

import structlog
from asgi_correlation_id import correlation_id
from pydantic_core import to_json
from structlog.types import EventDict, Processor, WrappedLogger

from app.core.config import Settings
from app.core.output import QueuedOutput, queue_standard_output
from app.core.telemetry.lazy_tracing import trace_id


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


def _as_json(event: EventDict, *, default: Callable[[Any], Any]) -> str:
    """A line, whatever was logged: JSON has no NaN, no lone surrogates and no circles."""
    try:
        return to_json(event, inf_nan_mode="null", ensure_ascii=True, fallback=default).decode()
    except ValueError:
        return json.dumps({k: v if isinstance(v, str) else repr(v) for k, v in event.items()})


class _Logger:
    """Writes lines to a stream, like `structlog.WriteLogger`, but has a name for `add_logger_name`,
    and neither flushes each line, for which `QueuedOutput` would wait, nor holds a lock, which it
    has itself."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self.name = name

    def msg(self, line: str) -> None:
        with suppress(ValueError):  # of a closed stream: a log line never fails its caller
            self._stream.write(f"{line}\n")

    debug = info = warning = error = critical = exception = msg


class _Handler(logging.StreamHandler[Any]):
    """Writes lines of the standard library's loggers, without waiting for `QueuedOutput`."""

    def flush(self) -> None:
        if not isinstance(self.stream, QueuedOutput):
            super().flush()


def configure_logging(settings: Settings) -> None:
    """Write our logs and those of every library to standard output, in one format.

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
        structlog.processors.TimeStamper(fmt="iso", utc=True),
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
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=partial(_Logger, sys.stdout),
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
    # A migration is announced in several lines; `migrate` says what it did itself.
    logging.getLogger("alembic.runtime").setLevel(logging.WARNING)
    # They warn of each request id replaced and each form malformed: anybody could fill the log.
    for name in ("asgi_correlation_id", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)

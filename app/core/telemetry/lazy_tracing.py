"""Loads `tracing` if TELEMETRY_OTLP_ENDPOINT is set; and the current trace id."""

from importlib import import_module
from typing import TYPE_CHECKING

from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import format_trace_id, get_current_span

from app.core.config import Settings

if TYPE_CHECKING:
    from app.core.telemetry.tracing import Tracing

OFF: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}


def load_tracing(settings: Settings) -> "Tracing | None":
    """The tracing of this process; None without TELEMETRY_OTLP_ENDPOINT, and then no library is
    loaded."""
    if settings.telemetry.otlp_endpoint is None:
        return None
    tracing: Tracing = import_module("app.core.telemetry.tracing").Tracing(settings)
    return tracing


def trace_id() -> str | None:
    """The current trace id, 32 hexadecimal digits; None without tracing."""
    context = get_current_span().get_span_context()
    return format_trace_id(context.trace_id) if context.is_valid else None

"""OpenTelemetry tracing: spans of requests, SQL statements and Redis calls, sent to a collector.

No module imports this one directly: `load_tracing` does if TELEMETRY_OTLP_ENDPOINT is set, since
the libraries cost time and memory.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from fastapi.telemetry import TelemetryConfig
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.instrumentation.sqlalchemy import engine as sqlalchemy_spans
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, StatusCode, TraceState
from opentelemetry.util.types import Attributes
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from starlette.types import Scope

from app.core.config import Settings

EXPORT_TIMEOUT = 2.0
"""Timeout of a batch in seconds; an unavailable collector delays the end of the process by it."""


class Tracing:
    """Spans for requests, statements and Redis calls, sent in batches by a thread.

    Args:
        settings: endpoint and sampling ratio.
    """

    def __init__(self, settings: Settings) -> None:
        telemetry, app = settings.telemetry, settings.app
        self.provider = TracerProvider(
            sampler=_sampler(telemetry.trace_ratio),
            resource=Resource.create(
                {
                    "service.name": app.app_name,
                    "service.version": app.app_version,
                    "deployment.environment.name": app.environment,
                }
            ),
            shutdown_on_exit=False,
        )
        endpoint = f"{str(telemetry.otlp_endpoint).rstrip('/')}/v1/traces"
        exporter = OTLPSpanExporter(endpoint, timeout=EXPORT_TIMEOUT)
        self.provider.add_span_processor(_WithoutQuery())
        self.provider.add_span_processor(BatchSpanProcessor(exporter))

    def config(self, leave_out: Callable[[Scope], bool]) -> TelemetryConfig:
        """Configuration of FastAPI's spans: one for each request, and none for its inner steps.

        Args:
            leave_out: predicate for requests that are not traced.
        """
        return {
            "tracing": True,
            "tracer_provider": self.provider,
            "operation_spans": False,
            "exclude": leave_out,
        }

    @contextmanager
    def watching(self, engine: Engine) -> Iterator[None]:
        """Trace statements on `engine`, and all Redis clients; flush at the end."""
        _trace_statements(engine, self.provider)
        redis = RedisInstrumentor()
        redis.instrument(tracer_provider=self.provider)
        try:
            yield
        finally:
            redis.uninstrument()
            self.provider.shutdown()


def _sampler(ratio: float) -> Sampler:
    """Sampling by trace id, so that all services decide alike. The caller's sampling flag is
    ignored, since it is untrusted."""
    requests = _RequestsOnly(ratio)
    return ParentBased(requests, remote_parent_sampled=requests, remote_parent_not_sampled=requests)


class _RequestsOnly(Sampler):
    """Samples a fraction of the requests, and nothing outside of one, such as Redis probes."""

    def __init__(self, ratio: float) -> None:
        self._ratio = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        sampler = self._ratio if kind is SpanKind.SERVER else ALWAYS_OFF
        return sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        return f"RequestsOnly{{{self._ratio.get_description()}}}"


class _WithoutQuery(SpanProcessor):
    """Removes query strings, which contain personal data."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  # the interface's
        if span.attributes and "url.query" in span.attributes:
            span.set_attribute("url.query", "REDACTED")


def _trace_statements(engine: Engine, provider: TracerProvider) -> None:
    """Trace statements with the instrumentor's listeners.

    The instrumentor itself would patch every future engine, and declares support for SQLAlchemy 2.0
    only. Its error handler is replaced: it would record the database's message, which may quote
    values, instead of the error's class."""
    tracer = provider.get_tracer("app.database")
    connections = NoOpMeterProvider().get_meter("app.database").create_up_down_counter("unused")
    sqlalchemy_spans.EngineTracer(tracer, engine, connections)
    event.remove(engine, "handle_error", sqlalchemy_spans._handle_error)  # noqa: SLF001  # see above
    event.listen(engine, "handle_error", _end_failed)


def _end_failed(failure: ExceptionContext) -> None:
    span = getattr(failure.execution_context, "_otel_span", None)
    if span is not None:
        span.set_status(StatusCode.ERROR, type(failure.original_exception).__name__)
        span.end()

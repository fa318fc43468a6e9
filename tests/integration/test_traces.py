"""Traces, as a collector receives them."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.core.config import Settings
from tests.conftest import PASSWORD, Person, browsing, running

FAILED = 2
"""The status of a span that ended badly."""
CALLER = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """What an OpenTelemetry collector is to us."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()

    def receive(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {
                attribute.value.string_value
                for attribute in resource.resource.attributes
                if attribute.key == "service.name"
            }
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def request(self, name: str) -> Span:
        """The one request of that name."""
        (span,) = [span for span in self.spans if span.name == name]
        return span

    def within(self, request: Span) -> list[Span]:
        return [
            span
            for span in self.spans
            if span.trace_id == request.trace_id and span.span_id != request.span_id
        ]


def attributes(span: Span) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in span.attributes}


@contextmanager
def listening(collector: Collector) -> Iterator[str]:
    """Its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            collector.receive(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def collector() -> Collector:
    return Collector()


@contextmanager
def traced(settings: Settings, collector: Collector, ratio: float = 1.0) -> Iterator[Settings]:
    with listening(collector) as url:
        yield settings.replaced(telemetry={"otlp_endpoint": url, "trace_ratio": ratio})


async def test_a_request_is_a_trace_with_its_statements_and_redis_calls(
    app, client, settings, root, collector
):
    with traced(settings, collector) as with_traces:
        async with running(with_traces) as other, browsing(other) as there:
            visitor = Person(there, root.id, root.email, tokens=root.tokens)
            response = await visitor.get(f"/users?search={root.email}")

    request = collector.request("GET /api/v1/users")
    within = collector.within(request)
    assert response.status_code == 200
    assert collector.services == {"Backend API"}
    assert request.kind == Span.SPAN_KIND_SERVER
    assert attributes(request)["http.route"] == "/api/v1/users"
    systems = [attributes(span).get("db.system") for span in within]
    assert "postgresql" in systems
    assert "redis" in systems
    assert {span.parent_span_id for span in within} == {request.span_id}


async def test_traces_contain_no_personal_data(app, client, settings, root, collector):
    with traced(settings, collector) as with_traces:
        async with running(with_traces) as other, browsing(other) as there:
            visitor = Person(there, root.id, root.email, tokens=root.tokens)
            await visitor.get(f"/users?search={root.email}")
            again = {"email": root.email, "password": PASSWORD}
            taken = await visitor.post("/users", json=again)

    sent = "".join(str(span) for span in collector.spans)
    assert taken.status_code == 409
    assert attributes(collector.request("GET /api/v1/users"))["url.query"] == "REDACTED"
    for secret in (root.email, root.tokens["access_token"], PASSWORD, "argon2", "myapi:cache:"):
        assert secret not in sent


async def test_a_failed_statement_has_its_class_for_a_reason(app, client, settings, collector):
    twin = {"email": "twin@example.com", "password": PASSWORD}
    with traced(settings, collector) as with_traces:
        async with running(with_traces) as other, browsing(other) as there:
            # All find the address free, and all but one meet the constraint.
            answers = await asyncio.gather(
                *(there.post("/api/v1/users", json=twin) for _ in range(5))
            )

    reasons = {span.status.message for span in collector.spans if span.status.code == FAILED}
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert reasons == {"UniqueViolationError"}


async def test_a_caller_s_trace_goes_on_and_its_id_is_in_the_log_and_in_errors(
    app, client, settings, collector
):
    with traced(settings, collector) as with_traces:
        async with running(with_traces) as other, browsing(other) as there:
            headers = {"traceparent": f"00-{CALLER}-b7ad6b7169203331-01"}
            refused = await there.get("/api/v1/users/me", headers=headers)
            own = await there.get("/nowhere")

    span = collector.request("GET /api/v1/users/me")
    assert span.trace_id.hex() == CALLER
    assert span.parent_span_id.hex() == "b7ad6b7169203331"
    assert refused.headers["x-trace-id"] == CALLER
    assert refused.json().keys() == {"error", "message", "details", "request_id"}
    assert len(own.headers["x-trace-id"]) == 32
    assert own.headers["x-trace-id"] != CALLER


async def test_a_line_of_the_log_has_the_trace_id(app, client, settings, collector, capsys):
    with traced(settings, collector) as with_traces:
        async with running(with_traces) as other, browsing(other) as there:
            await there.get("/nowhere", headers={"traceparent": f"00-{CALLER}-b7ad6b7169203331-01"})
            written = capsys.readouterr().out

    lines = [line for line in written.splitlines() if "path=/nowhere" in line]
    assert len(lines) == 1
    assert f"trace_id={CALLER}" in lines[0]


async def test_probes_and_what_happens_outside_of_requests_are_no_traces(
    app, client, settings, collector
):
    with traced(settings, collector) as with_traces:
        async with running(with_traces) as other, browsing(other) as there:
            await there.get("/health")
            await other.state.runtime.cache.redis.ping()

    assert collector.spans == []


@pytest.mark.parametrize("ratio", [0.0, 0.5])
async def test_so_much_of_the_requests_is_traced_whatever_the_caller_says(
    app, client, settings, collector, ratio
):
    with traced(settings, collector, ratio) as with_traces:
        async with running(with_traces) as other, browsing(other) as there:
            for n in range(200):
                trace_id = f"{n + 1:016x}{n * 2**64 // 200:016x}"
                headers = {
                    "traceparent": f"00-{trace_id.replace('0' * 32, '1' * 32)}-{'b' * 16}-01"
                }
                await there.get("/nowhere", headers=headers)

    assert len(collector.spans) / 200 == pytest.approx(ratio, abs=0.15)


async def test_without_a_collector_requests_are_answered_all_the_same(app, client, settings):
    away = settings.replaced(telemetry={"otlp_endpoint": "http://127.0.0.1:9"})
    async with running(away) as other, browsing(other) as there:
        response = await there.get("/health/live")
        unknown = await there.get("/nowhere")

    assert response.status_code == 200
    assert unknown.status_code == 404


async def test_without_an_endpoint_there_are_no_traces_at_all(client):
    response = await client.get("/nowhere", headers={"traceparent": f"00-{CALLER}-{'b' * 16}-01"})

    assert "x-trace-id" not in response.headers


def test_without_an_endpoint_or_a_passkey_the_libraries_are_not_even_loaded():
    costly = (
        *("opentelemetry.sdk.trace", "opentelemetry.exporter", "opentelemetry.instrumentation"),
        *("webauthn", "OpenSSL", "cbor2"),
    )
    script = f"import sys, main; print([m for m in sys.modules if m.startswith({costly})])"

    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert told.stdout.strip().endswith("[]")

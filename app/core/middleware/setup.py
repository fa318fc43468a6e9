"""Registration and order of the middleware."""

import re

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI

from app.core.config import Settings
from app.core.middleware.access_log import AccessLog, OnEnd, OnRefusal
from app.core.middleware.compression import GZip
from app.core.middleware.errors import ErrorBoundary
from app.core.middleware.head import Head
from app.core.middleware.security_headers import SecurityHeaders
from app.core.middleware.starlette import CORS, HTTPSRedirect, RequestSizeLimit, TrustedHost
from app.core.middleware.timeout import TimeoutMiddleware

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def _is_request_id(value: str) -> bool:
    return _REQUEST_ID.fullmatch(value) is not None


def _ignore(*_: object) -> None:
    pass


def setup_middleware(
    app: FastAPI,
    settings: Settings,
    on_refusal: OnRefusal = _ignore,
    on_end: OnEnd | None = None,
) -> None:
    """Register all middleware that the settings require. The last one registered is outermost.

    The order ensures that every request has an id and a log line, and that error responses have
    security and CORS headers. Layers outside the error boundary parse no input of the client.

    Args:
        app: the application.
        settings: as loaded.
        on_refusal: see `AccessLog`.
        on_end: see `AccessLog`.
    """
    server, cors = settings.server, settings.cors
    app.add_middleware(RequestSizeLimit, max_body_size=server.max_body_bytes)
    app.add_middleware(TimeoutMiddleware, timeout=server.request_timeout)
    if "*" not in server.trusted_hosts:
        app.add_middleware(TrustedHost, allowed_hosts=server.trusted_hosts)
    if server.force_https:
        app.add_middleware(HTTPSRedirect)
    app.add_middleware(ErrorBoundary)
    if cors.origins:
        app.add_middleware(
            CORS,
            allow_origins=cors.origins,
            allow_credentials=cors.allow_credentials,
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "If-Match",
                "X-Device-Token",
                "X-Request-ID",
            ],
            expose_headers=[
                "Content-Disposition",
                "ETag",
                "Idempotency-Replayed",
                "Location",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "WWW-Authenticate",
                "X-Device-Token",
                "X-Request-ID",
                "X-Trace-ID",
            ],
        )
    app.add_middleware(SecurityHeaders, hsts=server.force_https)
    app.add_middleware(GZip, minimum_size=1024, level=5)
    app.add_middleware(Head)
    app.add_middleware(
        CorrelationIdMiddleware,
        header_name="X-Request-ID",
        validator=_is_request_id,
        transformer=None,
        update_request_header=False,
    )
    app.add_middleware(
        AccessLog,
        on_refusal=on_refusal,
        on_end=on_end if settings.telemetry.recent_requests else None,
        exposes_timing=settings.app.environment == "development",
    )

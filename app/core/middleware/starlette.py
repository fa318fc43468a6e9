"""Wrappers of Starlette's middleware: errors in the API's shape, and exemptions for probes."""

from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import framework_error, send_error
from app.core.exceptions import BadRequestException, PayloadTooLargeException


def is_probe(scope: Scope) -> bool:
    """Whether the path is /health or below: probes use any Host header and scheme."""
    path: str = scope["path"]
    return path == "/health" or path.startswith("/health/")


class _Shaped:
    """Wrapper of a Starlette middleware that turns its plain-text errors into the API's shape.
    Responses from inner layers pass unchanged."""

    exempts_probes = False

    def __init__(self, app: ASGIApp, middleware: Callable[..., ASGIApp], **options: Any) -> None:
        self._app = app
        self._admitted = f"app.admitted.{type(self).__name__}"
        self._middleware = middleware(self._admit, **options)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[self._admitted] = True
        await self._app(scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (self.exempts_probes and is_probe(scope)):
            await self._app(scope, receive, send)
            return
        refused = False

        async def shape(message: Message) -> None:
            nonlocal refused
            if self._admitted in scope:
                await send(message)
            elif message["type"] == "http.response.start" and message["status"] >= 400:
                refused = True
                headers = Headers(raw=message["headers"]).mutablecopy()
                del headers["content-length"], headers["content-type"]
                error = framework_error(message["status"], dict(headers.items()))
                await send_error(error, scope, receive, send)
            elif not refused:
                await send(message)

        try:
            await self._middleware(scope, receive, shape)
        except ValueError:  # raised for a Host header such as `[`
            if self._admitted in scope:
                raise
            await send_error(BadRequestException(), scope, receive, send)


class TrustedHost(_Shaped):
    """Answers 400 for a Host header that is not in `allowed_hosts`; probes are exempt."""

    exempts_probes = True

    def __init__(self, app: ASGIApp, allowed_hosts: tuple[str, ...]) -> None:
        super().__init__(app, TrustedHostMiddleware, allowed_hosts=list(allowed_hosts))


class HTTPSRedirect(_Shaped):
    """Redirects http to https by 307; probes are exempt."""

    exempts_probes = True

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, HTTPSRedirectMiddleware)


class CORS(_Shaped):
    """Starlette's CORS middleware; refused preflights have the API's error shape."""

    def __init__(self, app: ASGIApp, /, *, allow_origins: tuple[str, ...], **options: Any) -> None:
        super().__init__(app, CORSMiddleware, allow_origins=list(allow_origins), **options)


class RequestSizeLimit(RequestBodyLimitMiddleware):
    """Answers 413 beyond `max_body_size` bytes, by Content-Length or while the body arrives."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _has_no_body(scope):
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self.max_body_size:
            await send_error(PayloadTooLargeException(), scope, receive, send)
            return
        await super().__call__(scope, receive, send)


def _has_no_body(scope: Scope) -> bool:
    """Whether an HTTP/1 request has no body, by its headers (RFC 9112 §6)."""
    return scope["http_version"] in {"1.0", "1.1"} and not any(
        name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"]
    )

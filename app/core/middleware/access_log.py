"""Access log: one line for each request; also request counters and the `Server-Timing` header."""

import logging
from collections.abc import Callable
from time import time

import structlog
from asgi_correlation_id import correlation_id
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.middleware.starlette import is_probe
from app.core.origin import Origin, acting_as
from app.core.telemetry import Timing, request_counter
from app.core.telemetry.ended_request import EndedRequest

log = structlog.get_logger("app.access")

OnRefusal = Callable[[Origin, str, str | None, int], None]
OnEnd = Callable[[EndedRequest], None]
_REFUSED = frozenset({401, 403})

MAX_METHOD = 16
"""Characters of a method that are recorded; clients can send any."""
CLIENT_LEFT = 499
"""Logged and counted where a client has left before its answer began, as nginx does."""


class AccessLog:
    """Logs method, route, path, status, duration, client and principal: no query, header or
    body, since those carry secrets and names. Counts the same, and tells superusers in a
    `Server-Timing` header where the time went.

    Args:
        on_refusal: called after a request that was refused, with its origin, method, route and
            status.
        on_end: called after each request other than a probe; None where none are recorded.
        exposes_timing: send that header to every client.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        on_refusal: OnRefusal,
        on_end: OnEnd | None = None,
        exposes_timing: bool = False,
    ) -> None:
        self.app = app
        self._on_refusal = on_refusal
        self._on_end = on_end
        self._exposes_timing = exposes_timing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        timing = Timing(scope)
        status = CLIENT_LEFT

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._exposes_timing or scope.get("state", {}).get("is_superuser"):
                    header = (b"server-timing", timing.server_timing().encode())
                    message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        request_counter.in_progress += 1
        client = scope.get("client")
        address = client[0] if client else None
        origin = Origin(address=address)
        try:
            with timing, acting_as(origin):
                await self.app(scope, receive, observe)
        except BaseException:
            status = 500 if status == CLIENT_LEFT else status
            raise
        finally:
            request_counter.in_progress -= 1
            seconds, route = timing.total, timing.route
            impersonator = origin.impersonator_id
            acting = {} if impersonator is None else {"impersonator": impersonator}
            answered_in = scope.get("state", {}).get("answered_in", seconds)
            request_counter.ended(scope["method"], route, status, answered_in)
            log.log(
                logging.ERROR if status >= 500 else logging.INFO,
                "request",
                method=scope["method"],
                route=route,
                path=scope["path"],
                status=status,
                duration_ms=round(seconds * 1000, 2),
                client=address,
                principal=scope.get("state", {}).get("principal"),
                **acting,
            )
            if origin.refusals or status in _REFUSED:
                self._on_refusal(origin, scope["method"], route, status)
            if self._on_end is not None and not is_probe(scope):
                self._on_end(_ended(scope["method"], route, status, answered_in, origin, timing))


def _ended(
    method: str, route: str | None, status: int, seconds: float, origin: Origin, timing: Timing
) -> EndedRequest:
    return EndedRequest(
        time(),
        correlation_id.get() or "",
        method[:MAX_METHOD],
        route,
        status,
        seconds,
        origin.actor,
        origin.impersonator_id,
        timing.waits,
        timing.queries,
    )

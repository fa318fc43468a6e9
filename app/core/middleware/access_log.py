"""One line for each request, whatever becomes of it."""

import logging
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.logging import log_directly
from app.core.telemetry import route_template


class AccessLog:
    """Logs method, route, path, status, duration, client and principal: no query, header or
    body, since those carry secrets and names."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = perf_counter()
        status = 500

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, observe)
        finally:
            client = scope.get("client")
            log_directly(
                "app.access",
                logging.ERROR if status >= 500 else logging.INFO,
                "request",
                method=scope["method"],
                route=route_template(scope),
                path=scope["path"],
                status=status,
                duration_ms=round((perf_counter() - began) * 1000, 2),
                client=client[0] if client else None,
                principal=scope.get("state", {}).get("principal"),
            )

"""Converts unhandled exceptions into a 500 response inside the middleware stack."""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import send_error
from app.core.exceptions import AppException

log = structlog.get_logger("app.errors")


class ErrorBoundary:
    """Answers 500 for an exception that no handler took. Its traceback is logged, and never sent.

    Starlette's ServerErrorMiddleware does so outside all other middleware, where the answer
    has no request id, no CORS and no security headers. This one stands inside, around
    everything that reads what a client sent, exception handlers included. Once a response has begun
    it can only be cut off, so the exception goes on to the server.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def observe(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, observe)
        except Exception:
            if begun:
                raise
            log.exception("unhandled_exception")
            await send_error(AppException(), scope, receive, send)

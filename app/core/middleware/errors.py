"""The wall behind which an unforeseen error becomes an ordinary answer."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import unhandled


class ErrorBoundary:
    """Answers 500 for an exception that nobody handled.

    Starlette's ServerErrorMiddleware does so outside all other middleware, where the answer
    has no request id, no CORS and no security headers; this one stands inside (decision 14).
    Once a response has begun it can only be cut off, so the exception goes on to the server.
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
        except Exception as error:
            if begun:
                raise
            await unhandled(error)(scope, receive, send)

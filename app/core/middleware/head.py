"""HEAD requests, for every route with GET."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """Answers HEAD like GET, without the body (RFC 9110 §9.3.2).

    Inner layers see a GET. This one is outside of those that set headers by the body, so that
    `Content-Length` and `Content-Encoding` are those of GET. A streaming response is ended after
    its first part, by simulating that the client has disconnected.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})
        inside = {**scope, "method": "GET"}
        exchange = _Exchange(receive, send)
        try:
            await self.app(inside, exchange.receive, exchange.send)
        finally:  # the access log needs what inner layers added, such as the route
            scope.update({**inside, "method": "HEAD"})


class _Exchange:
    """One HEAD request."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._answered = asyncio.Event()

    async def send(self, message: Message) -> None:
        if self._answered.is_set():
            return
        if message["type"] == "http.response.body":
            self._answered.set()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def receive(self) -> Message:
        """The next message, or a disconnect once the response has begun."""
        answered = asyncio.ensure_future(self._answered.wait())
        received = asyncio.ensure_future(self._receive())
        try:
            await asyncio.wait((answered, received), return_when=asyncio.FIRST_COMPLETED)
            return await received if received.done() else {"type": "http.disconnect"}
        finally:
            answered.cancel()
            received.cancel()

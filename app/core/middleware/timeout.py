"""Request timeout: a 504 on time, and no work done afterwards."""

import asyncio

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import send_error
from app.core.exceptions import RequestTimeoutException
from app.core.middleware.deadline import COMMIT_GRACE, Deadline, running_under
from app.core.telemetry import route_template
from app.core.telemetry.metrics import REQUEST_TIMEOUTS

log = structlog.get_logger("app.timeout")


class StreamStalled(Exception):
    """A streaming response sent nothing for too long. Its connection is cut, so that the client
    sees that the body is incomplete."""


class TimeoutMiddleware:
    """Answers 504 if a response has not begun within `timeout` seconds.

    The 504 is sent first, whatever the handler does; then the handler is cancelled and
    awaited, so that its session is rolled back and its connection returned. Once a response
    has begun, `timeout` bounds each pause between two parts of its body instead.

    Args:
        timeout: seconds. A route may set its own (`app.api.deps.request.Deadline`).
    """

    def __init__(self, app: ASGIApp, *, timeout: float = 30.0) -> None:
        self.app = app
        self.timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        watch = _Watch(scope, receive, send, self.timeout)
        state = scope.setdefault("state", {})
        state["deadline"] = watch  # used by the server's protocol
        try:
            with running_under(watch):
                await watch.run(self.app)
        finally:
            # The deadline refers to the scope: the cycle would need the garbage collector, which
            # took a fifth of a short request's time.
            del state["deadline"]


class _Watch(Deadline):
    """One request under its deadline."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, timeout: float) -> None:
        super().__init__(timeout)
        self._scope, self._receive, self._send = scope, receive, send
        self._started = self._finished = self._has_cancelled = False
        self._expiry: asyncio.Task[None] | None = None
        self._work = asyncio.current_task()
        self._timer = self._loop.call_at(self.at, self._ring)

    def reschedule(self, timeout: float) -> None:
        super().reschedule(timeout)
        self._timer.cancel()
        self._timer = self._loop.call_at(self.at, self._ring)

    async def run(self, app: ASGIApp) -> None:
        try:
            await app(self._scope, self._receive, self._guarded_send)
        except asyncio.CancelledError:
            # Our own, unless others cancelled too, such as the server at its shutdown.
            if not self._has_cancelled or self._work is None or self._work.cancelling() > 1:
                raise
        except Exception:
            if not self.expired:
                raise
            log.warning("failed_after_timeout", exc_info=True)
        finally:
            self._finished = True
            self._timer.cancel()
            if self._has_cancelled and self._work is not None:
                self._work.uncancel()  # also where the application ended in another way
        if self._expiry is not None:
            await self._expiry
            if self._started:
                raise StreamStalled

    def abandon(self) -> None:
        """Cancel the work after the client has left, unless it has begun to commit: a change is
        made with all of its follow-up steps, or not at all."""
        if self.expired or self.committing or self.has_committed or self._finished:
            return
        self.expired = True
        self._timer.cancel()
        self._cancel()

    async def _guarded_send(self, message: Message) -> None:
        if self.expired:
            return
        self._started = True
        await self._send(message)
        self.at = self._loop.time() + self.timeout
        if message["type"] == "http.response.body" and not message.get("more_body"):
            # The response is complete; background tasks have no deadline.
            self._timer.cancel()

    def _ring(self) -> None:
        """Expire, unless the deadline was moved. It is checked when the timer fires, so that a part
        of a stream costs an addition instead of a new timer."""
        now = self._loop.time()
        until = self.at + (COMMIT_GRACE if self.committing else 0)
        if now < until:
            self._timer = self._loop.call_at(until, self._ring)
            return
        self.expired = True
        self._expiry = self._loop.create_task(self._expire())

    async def _expire(self) -> None:
        route = route_template(self._scope)
        log.warning("request_timeout", timeout=self.timeout, route=route, streaming=self._started)
        REQUEST_TIMEOUTS.inc()
        try:
            if not self._started:
                error = RequestTimeoutException(self.timeout)
                await send_error(error, self._scope, self._receive, self._send)
        finally:
            if not self._finished:
                self._cancel()

    def _cancel(self) -> None:
        if self._work is not None:
            self._has_cancelled = True
            self._work.cancel()

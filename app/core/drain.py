"""Stopping without losing a request: say so first, serve on for a while, then stop."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import structlog
import uvicorn

from app.core.acceptor import Acceptor

log = structlog.get_logger("app.drain")

LINGER = 0.5
"""Seconds between closing the door and telling the server: it would close a connection whose
request is still on its way."""
_CLOSE = (b"connection", b"close")


class Drain:
    """Whether this process is about to stop.

    A server that is told to stop closes its socket at once. A proxy that has not noticed yet then
    meets a closed door, and what had reached the socket and was not accepted yet is lost. So the
    signal is kept back for a while, in which all is served and /health/ready says 503. Each answer
    closes its connection, so that nobody asks on one that is about to be closed.

    Args:
        seconds: how long; more than it takes the proxy to notice.

    Attributes:
        has_begun: whether the signal came.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.has_begun = False

    @contextmanager
    def on_sigterm(self) -> Iterator[None]:
        """While the block runs, keep SIGTERM back from the server around it.

        A second one goes through at once. Where nobody handles the signal, it is left alone.
        """
        stop = signal.getsignal(signal.SIGTERM)
        if not callable(stop) or threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()

        def begin() -> None:
            if self.has_begun or not self.seconds:
                stop(signal.SIGTERM, None)
                return
            self.has_begun = True
            log.info("draining", seconds=self.seconds)
            server = getattr(stop, "__self__", None)
            if isinstance(server, uvicorn.Server):
                _close_connections(server)
                loop.call_later(max(0.0, self.seconds - LINGER), _close_door, server)
            loop.call_later(self.seconds, stop, signal.SIGTERM, None)

        def received(_signal: int, _frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(begin)

        signal.signal(signal.SIGTERM, received)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, stop)


def _close_connections(server: uvicorn.Server) -> None:
    """Have each answer say that its connection ends with it."""
    server.config.encoded_headers.append(
        _CLOSE
    )  # of which the server makes those below, each second
    state = server.server_state
    state.default_headers = [*state.default_headers, _CLOSE]


def _close_door(server: uvicorn.Server) -> None:
    """Accept nobody more, but whoever stands at the door."""
    for listener in server.servers:
        if isinstance(listener, Acceptor):
            listener.accept_all()
        listener.close()

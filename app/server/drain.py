"""Graceful shutdown: fail the readiness check first, continue serving for a while, then stop."""

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import structlog
import uvicorn

from app.server.acceptor import Acceptor

log = structlog.get_logger("app.drain")

CLOSE_LEAD = 0.5
"""Seconds between closing the sockets and passing on the signal: the server would close a
connection whose request is still arriving."""
ORPHAN_DRAIN = 1.0
"""Drain of a web process without a parent, in seconds: another instance will need the port soon."""
_CLOSE = (b"connection", b"close")


class Drain:
    """Delays SIGTERM: the process continues serving while /health/ready answers 503.

    On SIGTERM a server closes its socket at once. A proxy that has not noticed yet then gets its
    connections refused, and connections that were not accepted yet are lost. During the drain each
    response closes its connection, so that clients send no request on one that is about to close.

    Args:
        seconds: duration; longer than the proxy takes to notice.

    Attributes:
        has_begun: whether the signal was received.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.has_begun = False
        self._server: uvicorn.Server | None = None

    @property
    def is_ending(self) -> bool:
        """Whether the process drains or stops: what has no end of its own has to end now."""
        is_stopping = self._server is not None and self._server.should_exit
        return self.has_begun or is_stopping

    @contextmanager
    def on_sigterm(self) -> Iterator[None]:
        """Delay SIGTERM while the block runs.

        A second SIGTERM is passed on at once. If the signal has no handler, it is left alone.
        SIGHUP is treated the same, unless it is ignored: by default it would end the process.
        """
        stop = signal.getsignal(signal.SIGTERM)
        if not callable(stop) or threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        server = getattr(stop, "__self__", None)
        self._server = server if isinstance(server, uvicorn.Server) else None

        def begin() -> None:
            if self.has_begun or not self.seconds:
                stop(signal.SIGTERM, None)
                return
            self.has_begun = True
            log.info("draining", seconds=self.seconds)
            if (server := self._server) is not None:
                _close_connections(server)
                loop.call_later(max(0.0, self.seconds - CLOSE_LEAD), _close_sockets, server)
            loop.call_later(self.seconds, stop, signal.SIGTERM, None)

        def received(_signal: int, _frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(begin)

        names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        before = {signal.Signals[name]: signal.getsignal(signal.Signals[name]) for name in names}
        handled = [number for number, by in before.items() if by is not signal.SIG_IGN]
        for number in handled:
            signal.signal(number, received)
        try:
            yield
        finally:
            for number in handled:
                signal.signal(number, before[number])


def stop_with_parent() -> None:
    """Shut a web process down after a short drain once its parent process has ended.

    Otherwise the web processes of a supervisor or reloader that was killed would keep serving and
    hold the port. Does nothing in a process that neither of them started. Call during startup.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        log.warning("parent_ended", pid=parent.pid)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_DRAIN)
        os.kill(os.getpid(), signal.SIGTERM)  # the second one ends the drain

    threading.Thread(target=watch, daemon=True).start()


def _close_connections(server: uvicorn.Server) -> None:
    """Add `Connection: close` to all further responses."""
    server.config.encoded_headers.append(
        _CLOSE
    )  # the server generates its default headers from these every second
    state = server.server_state
    state.default_headers = [*state.default_headers, _CLOSE]


def _close_sockets(server: uvicorn.Server) -> None:
    """Stop listening, after accepting the waiting connections."""
    for listener in server.servers:
        if isinstance(listener, Acceptor):
            listener.accept_all()
        listener.close()

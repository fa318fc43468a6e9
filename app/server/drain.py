"""Stopping without losing a request: say so first, serve on for a while, then stop."""

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

LINGER = 0.5
"""Seconds between closing the door and telling the server: it would close a connection whose
request is still on its way."""
ORPHAN_DRAIN = 1.0
"""Seconds that a worker serves on whose parent has ended: soon another instance wants the port."""
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

        A second one goes through at once. Where nobody handles the signal, it is left alone. SIGHUP
        does the same, unless it is ignored: by default it would end the process at once.
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
    """Stop in order, after a short drain, once the process has ended that this one is a worker of.

    A supervisor or reloader that is killed can stop no worker: it would serve on unsupervised, and
    hold the port. Of a process that no other started in order to serve, nothing is watched. Call
    while the application starts.
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
    """Have each answer say that its connection ends with it."""
    server.config.encoded_headers.append(
        _CLOSE
    )  # of which the server makes those below, each second
    state = server.server_state
    state.default_headers = [*state.default_headers, _CLOSE]


def _close_door(server: uvicorn.Server) -> None:
    """Stop listening. The connections that wait by then are accepted first."""
    for listener in server.servers:
        if isinstance(listener, Acceptor):
            listener.accept_all()
        listener.close()

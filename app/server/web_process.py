"""Web process of the supervisor: uvicorn's server, and its heartbeats."""

import signal
import socket
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection

import uvicorn

HEARTBEAT = 0.5
"""Seconds between two heartbeats of a worker."""
BLOCKED_SIGNALS = signal.SIGINT, signal.SIGHUP
"""Signals that a terminal sends to workers too; during imports they would cause a traceback."""


class _Server(uvicorn.Server):
    """uvicorn's server, which records the last turn of its event loop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.turned_at = 0.0
        self.has_turned = threading.Event()

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second while it serves."""
        self.turned_at = time.monotonic()
        self.has_turned.set()
        return await super().on_tick(counter)

    def is_responsive(self) -> bool:
        """Whether the event loop runs. True while the server starts or stops, without a limit."""
        is_serving = self.started and not self.should_exit
        return not is_serving or time.monotonic() - self.turned_at < 2 * HEARTBEAT


def work(config: uvicorn.Config, sockets: list[socket.socket], beats: Connection) -> None:
    """Serve, and send heartbeats: the main function of the process."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # handled by the supervisor
    server = _Server(config)
    with suppress(KeyboardInterrupt):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED_SIGNALS)
        threading.Thread(target=_beat, args=(server, beats), daemon=True).start()
        server.run(sockets)


def _beat(server: _Server, beats: Connection) -> None:
    with suppress(OSError):  # the supervisor has ended: see `stop_with_parent`
        while True:
            if server.is_responsive():
                beats.send_bytes(b"serving" if server.started else b"starting")
            if server.started:
                time.sleep(HEARTBEAT)
            else:  # report at once: failed starts count less after the first success
                server.has_turned.wait(HEARTBEAT)

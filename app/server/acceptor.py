"""Accepting connections: as many as the process can serve; further ones get a 503."""

import asyncio
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from secrets import token_hex
from typing import Any

import uvicorn

from app.core.telemetry.metrics import REQUESTS_REFUSED
from app.server.admission import MIN_IDLE, Admission
from app.server.error_response import CLOSE, OVERLOAD, response, without_body
from app.server.http_protocol import PROBE_PATHS, BoundedProtocol

MAX_ACCEPTS = 128
"""Maximum number of connections accepted in one turn of the event loop."""
TURN_PER_CONNECTION = 0.0001
"""Seconds of the last turn per accepted connection."""
LONGEST_TURN = 0.5
"""Seconds. A longer interval was no turn: the process was idle."""
ADAPT_INTERVAL = 0.25
"""Seconds between two adaptations of the limit on requests."""
SPARE_TIMEOUT = 1.0
"""Seconds that a connection beyond the limit has to send its request."""
REFUSED_HEAD = 8192
"""Bytes of such a request that are read."""
ACCEPT_PAUSE = 0.05
"""Seconds without accepting after descriptors or spare connections ran out."""
_AT_ONCE: int = getattr(socket, "MSG_DONTWAIT", 0)  # Windows has none, and no acceptor
_PEEK = _AT_ONCE | socket.MSG_PEEK
_ID = b"0" * 32
_REFUSAL = response(OVERLOAD[0], (), CLOSE, request_id=_ID.decode())
_REFUSED_HEAD = without_body(_REFUSAL)
_count_refused = REQUESTS_REFUSED.labels(OVERLOAD[1]).inc
_PROBES = b"GET " + PROBE_PATHS, b"HEAD " + PROBE_PATHS
_BODILESS = b"GET ", b"HEAD "
_END = b"\r\n\r\n"
_FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding):", re.IGNORECASE)


class Acceptor:
    """Accepts connections in place of uvicorn's asyncio servers.

    asyncio accepts one connection a turn of the event loop. A busy loop turns thirty times a
    second, so that clients give up before they are accepted. Here it is one for each tenth of a
    millisecond that the last turn took: one or two a turn if the loop is idle, so that several
    workers share them.

    A request beyond the limits gets a 503 before a protocol is created for it: that takes a few
    system calls, a fiftieth of the time of a served request.

    Args:
        server: uvicorn's server, which is listening.
        admission: the limits.

    Attributes:
        sockets: the listening sockets.
    """

    def __init__(self, server: uvicorn.Server, admission: Admission) -> None:
        self._server = server
        self._admission = admission
        self._loop = asyncio.get_running_loop()
        self._turned = 0.0
        self._spare: dict[socket.socket, float] = {}
        self._opening: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.sockets: list[socket.socket] = []
        self._state = server.server_state
        self._answered = 0
        self._looking = self._loop.call_later(ADAPT_INTERVAL, self._look, self._loop.time())
        admission.watch(self._state.tasks, self._state.connections, self._opening)

    def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Accept from copies of `sockets`, whose owner may close its own."""
        for theirs in sockets:
            listener = theirs.dup()
            listener.settimeout(0)
            self.sockets.append(listener)
            self._loop.add_reader(listener, self._accept, listener)

    def accept_all(self) -> None:
        """Accept all waiting connections. Closing the socket would reset them, and their requests
        may have arrived already."""
        for listener in self.sockets:
            while self._accept_one(listener):
                pass

    def close(self) -> None:
        """Stop accepting. Connections beyond the limit still have the time for their request."""
        for listener in self.sockets:
            self._loop.remove_reader(listener)
            listener.close()
        self.sockets.clear()

    async def wait_closed(self) -> None:
        """Wait for the connections beyond the limit; the server waits for the others."""
        if self._spare:
            await asyncio.sleep(SPARE_TIMEOUT)
        self._looking.cancel()
        for client in list(self._spare):
            self._end(client)

    def _look(self, last: float) -> None:
        now, answered = self._loop.time(), self._state.total_requests
        rate = (answered - self._answered) / (now - last)
        self._admission.adapt(rate, lag=now - last - ADAPT_INTERVAL)
        self._answered = answered
        while self._spare and next(iter(self._spare.values())) < now - SPARE_TIMEOUT:
            self._end(next(iter(self._spare)))
        self._looking = self._loop.call_later(ADAPT_INTERVAL, self._look, now)

    def _accept(self, listener: socket.socket) -> None:
        now = self._loop.time()
        turn, self._turned = now - self._turned, now
        share = int(turn / TURN_PER_CONNECTION) if turn < LONGEST_TURN else 1
        for _ in range(min(max(share, 1), MAX_ACCEPTS)):
            if not self._accept_one(listener):
                break

    def _accept_one(self, listener: socket.socket) -> bool:
        if not self._has_spare():
            self._pause(listener)
            return False
        try:
            client, _ = listener.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionError:
            return True  # this client has left, others may wait
        except OSError:
            self._pause(listener)
            return False
        self._take(client)
        return True

    def _has_spare(self) -> bool:
        """Whether one more connection beyond the limit is possible; the oldest is closed if it has
        had the time to send its request."""
        if len(self._spare) < self._admission.max_spare:
            return True
        oldest, since = next(iter(self._spare.items()))
        if self._loop.time() - since < MIN_IDLE:
            return False
        self._end(oldest)
        return True

    def _pause(self, listener: socket.socket) -> None:
        self._loop.remove_reader(listener)
        self._loop.call_later(ACCEPT_PAUSE, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        if listener in self.sockets:
            self._loop.add_reader(listener, self._accept, listener)

    def _take(self, client: socket.socket) -> None:
        if self._admission.admits_connection(self._loop.time()):
            self._serve(client)
            return
        self._spare[client] = self._loop.time()
        self._look_at(client)

    def _look_at(self, client: socket.socket) -> None:
        """Serve or refuse a connection beyond the limit, by its first bytes."""
        try:
            head = client.recv(REFUSED_HEAD, _PEEK)
        except BlockingIOError:
            self._loop.add_reader(client, self._look_at, client)
            return
        except OSError:
            head = b""
        if head and not self._server.should_exit:
            is_probe = head.startswith(_PROBES)
            if self._admission.admits_connection(self._loop.time(), is_probe=is_probe):
                self._forget(client)
                self._serve(client)
                return
        self._refuse(client, head)

    def _refuse(self, client: socket.socket, head: bytes) -> None:
        with suppress(OSError):
            if head:
                client.recv(
                    REFUSED_HEAD, _AT_ONCE
                )  # closing with unread data resets the connection
                _count_refused()
                refusal = _REFUSED_HEAD if head.startswith(b"HEAD ") else _REFUSAL
                client.send(refusal.replace(_ID, token_hex(16).encode()), _AT_ONCE)
            is_whole = head.startswith(_BODILESS) and head.endswith(_END)
            if head and (not is_whole or _FRAMING.search(head)):
                # More will arrive: discard it until the client has the answer.
                client.shutdown(socket.SHUT_WR)
                self._loop.add_reader(client, self._throw_away, client)
                return
        self._end(client)

    def _throw_away(self, client: socket.socket) -> None:
        try:
            is_over = not client.recv(REFUSED_HEAD, _AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            is_over = True
        if is_over:
            self._end(client)

    def _forget(self, client: socket.socket) -> None:
        del self._spare[client]
        self._loop.remove_reader(client)

    def _end(self, client: socket.socket) -> None:
        self._forget(client)
        client.close()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(0)
        self._opening.add(client)
        protocol = partial(self._protocol, client)
        task = self._loop.create_task(self._loop.connect_accepted_socket(protocol, client))
        self._tasks.add(task)
        task.add_done_callback(partial(self._opened, client))

    def _protocol(self, client: socket.socket) -> BoundedProtocol:
        # The server counts it as its connection in the same turn of the loop.
        self._loop.call_soon(self._opening.discard, client)
        config = self._server.config
        return BoundedProtocol(
            admission=self._admission,
            config=config,
            server_state=self._server.server_state,
            app_state=self._server.lifespan.state,
        )

    def _opened(self, client: socket.socket, task: asyncio.Task[Any]) -> None:
        self._opening.discard(client)
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved to prevent a warning: the client has left

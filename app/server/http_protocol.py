"""The HTTP protocol of the server, with limits that uvicorn lacks: size of the head, timeouts, and
admission control.

The application never sees a request with an endless head, so that no middleware could refuse it.
"""

from asyncio import TimerHandle, Transport, current_task
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.core.telemetry.metrics import REQUESTS_REFUSED
from app.server.admission import Admission
from app.server.error_response import CLOSE, OVERLOAD, response, without_body
from app.server.head_with_body import HeadWithBody

HEAD_TIMEOUT = 10.0
"""Seconds from the start of a connection, or a request's first byte, to the end of its head."""
MAX_HEAD = 65_536
"""Maximum size of the request line and headers, in bytes, give or take one read."""
MAX_HEADERS = 100
DISCARD_TIMEOUT = 5.0
"""Seconds in which the rest of a body is read and discarded after the response: closing at once
would reset the connection, and the client would not see the response."""
CLOSE_TIMEOUT = 30.0
"""Seconds that a client may take to read the last response of a connection."""
WRITE_TIMEOUT = 60.0
"""Seconds for which a client may read nothing while a response is being sent."""
READ_TIME = 5.0
"""Seconds that a client has for reading a response before its connection may give way."""
ABANDON_AFTER = 0.5
"""Seconds for which a request continues after its client has left. Cancelling a statement costs a
database connection, which is more than most statements cost."""
MAX_PIPELINED = 16
"""Maximum number of pipelined requests that wait on a connection."""
PROBE_PATHS = b"/health"
"""Prefix of the paths of probes."""

_BODILESS = frozenset({"GET", "HEAD"})
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large"


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with timeouts and size limits, which answers 503 under overload.

    Its error responses have the API's shape. WebSocket and h2c upgrades are ignored, as RFC 9110
    §7.8 allows: the request is answered as HTTP/1.1, and the connection then closed. With a body
    they are refused.
    """

    def __init__(self, *, admission: Admission, **options: Any) -> None:
        super().__init__(**options)
        self._admission = admission
        self._timer: TimerHandle | None = None
        self._write_timer: TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        self._awaits_head = self._in_head = self._in_body = self._is_refused = False
        self._has_body_part = self._awaits_body = self._is_receiving = self._is_passed_over = False
        self._has_probe_place = self._has_passed_over = self._is_streaming = False
        self._head_bytes = self._barren_bytes = 0
        self._fault = HTTPStatus.BAD_REQUEST, "malformed"

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._settle()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_refused = True
        self._settle()
        self._admission.silent.pop(self, None)
        self._disarm()
        self.resume_writing()
        # uvicorn notifies only the latest request, which may be a pipelined one that waits.
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
            if (request := self._running.scope["state"].get("deadline")) is not None:
                if self._awaits_body:
                    request.abandon()
                else:
                    self.loop.call_later(ABANDON_AFTER, request.abandon)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As uvicorn's, except that it neither logs nor answers malformed requests."""
        self._unset_keepalive_if_required()
        if self._is_refused:
            return
        if not self._awaits_head and not self._in_body:
            self._await_head()
        self._has_body_part = self._has_passed_over = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False
        except httptools.HttpParserError:
            self._refuse(*self._fault)
        else:
            self._count(len(data))

    def _count(self, size: int) -> None:
        """Limit the data that the parser buffers: a head, or chunk extensions and trailers."""
        if self._in_head:
            if self._awaits_head:
                self._head_bytes += size
            else:  # the data also contains the end of the previous request
                self._await_head()
        elif self._in_body:
            self._barren_bytes = 0 if self._has_body_part else self._barren_bytes + size
        if max(self._head_bytes, self._barren_bytes) > MAX_HEAD:
            self._refuse(*_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes, self._barren_bytes = True, 0, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:  # a trailer: uvicorn would treat it as a header, past the checks
            self._fault = HTTPStatus.BAD_REQUEST, "trailer"
            raise httptools.HttpParserError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD or len(self.headers) > MAX_HEADERS:
            self._fault = _TOO_LARGE
            raise httptools.HttpParserError
        if self.parser.should_upgrade() and any(name in _FRAMING for name, _ in self.headers):
            self._fault = HTTPStatus.BAD_REQUEST, "upgrade"  # llhttp would skip the body
            raise httptools.HttpParserError
        if len(self.pipeline) >= MAX_PIPELINED:
            self._fault = HTTPStatus.BAD_REQUEST, "pipeline"
            raise httptools.HttpParserError
        self._disarm()
        self._awaits_head, self._in_head = False, False
        self._head_bytes = 0
        if self._has_probe_place:  # which is for one probe, not for pipelined requests
            self._fault = OVERLOAD
            raise httptools.HttpParserError
        if self._in_progress() is None and not self._is_admitted():
            self._pass_over()
            return
        self._in_body = True
        super().on_headers_complete()
        self._settle()

    def _is_admitted(self) -> bool:
        if not self._admission.is_full:
            return True
        if not (self._admission.admits_probe and self.url.startswith(PROBE_PATHS)):
            return False
        self._has_probe_place = True
        self._admission.probes += 1
        return True

    def _pass_over(self) -> None:
        """Answer 503, and keep the connection open if the request has no body."""
        is_whole = not any(name in _FRAMING for name, _ in self.headers)
        is_plain = self.parser.get_method() == b"GET" and not self.parser.should_upgrade()
        # The responses to a client that sends without reading would accumulate here.
        is_ahead = self._has_passed_over or self.transport.get_write_buffer_size() > 0
        if is_ahead or not (is_whole and is_plain and self.parser.should_keep_alive()):
            self._fault = OVERLOAD
            raise httptools.HttpParserError
        self._is_passed_over = self._has_passed_over = True
        REQUESTS_REFUSED.labels(OVERLOAD[1]).inc()
        self.transport.write(response(OVERLOAD[0], self.server_state.default_headers, b""))
        self._arm(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def on_body(self, body: bytes) -> None:
        self._has_body_part = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_passed_over:
            self._is_passed_over = False
            return
        self._in_body, was_receiving = False, self._is_receiving
        super().on_message_complete()
        self._settle()
        if was_receiving and self._admission.is_over:
            self._fault = OVERLOAD
            raise httptools.HttpParserError
        if self.cycle.response_complete:  # answered before the body was complete
            self._arm(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def on_response_complete(self) -> None:
        if (task := current_task(self.loop)) in self.tasks:
            self._admission.answered.add(task)
            task.add_done_callback(self._admission.answered.discard)
        super().on_response_complete()
        self._settle()
        if self.transport.is_closing():
            self._arm(CLOSE_TIMEOUT, self.transport.abort)
        elif self._in_body and self.cycle.response_complete:
            self._arm(DISCARD_TIMEOUT, self.transport.close)

    def _settle(self) -> None:
        """Update the admission control: whether this connection waits for its client."""
        if self.parser is None:  # the connection was lost before
            return
        cycle = None if self._is_refused else self._in_progress()
        is_receiving = cycle is not None and cycle.more_body and self._awaits_body
        self._admission.receiving += is_receiving - self._is_receiving
        self._is_receiving = is_receiving
        if cycle is None:
            self._admission.probes -= self._has_probe_place
            self._admission.streaming -= self._is_streaming
            self._has_probe_place = self._is_streaming = False
        if cycle is None or is_receiving:
            self._admission.silent.setdefault(self, self.loop.time())
        else:
            self._admission.silent.pop(self, None)

    def _release_place(self) -> None:
        """Count the request no longer: its response streams, and has no end of its own."""
        if not (self._is_streaming or self._is_refused or self._in_progress() is None):
            self._is_streaming = True
            self._admission.streaming += 1

    def give_way(self, silent: float) -> bool:
        """Close the idle connection in favour of another one."""
        if silent < READ_TIME and self.transport.get_write_buffer_size() > 0:
            return False
        self.transport.abort()
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(WRITE_TIMEOUT, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._arm(CLOSE_TIMEOUT, self.transport.abort)

    def _await_head(self) -> None:
        self._awaits_head = True
        self._arm(HEAD_TIMEOUT, self._head_is_late)

    def _head_is_late(self) -> None:
        if self._in_progress() is not None:
            self._await_head()  # an earlier request is being answered
        elif self._in_head:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "head_timeout")
        else:
            REQUESTS_REFUSED.labels("head_timeout").inc()
            self.transport.close()

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Send an error response, and close the connection after the client has read it."""
        REQUESTS_REFUSED.labels(reason).inc()
        self._is_refused = True
        if (cycle := self._in_progress()) is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self._settle()
        if cycle is not None and (cycle.response_started or self.pipeline):
            self.transport.abort()
            return
        message = response(status, self.server_state.default_headers, CLOSE)
        if not self._in_head and self.parser.get_method() == b"HEAD":
            message = without_body(message)
        self.transport.write(message)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._arm(DISCARD_TIMEOUT, self.transport.abort)
        else:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        self._admission.streaming -= self._is_streaming  # of the request before
        self._is_streaming = False
        cycle.scope["state"]["release_place"] = self._release_place
        method = cycle.scope["method"]
        if method not in _BODILESS:
            cycle.receive = self._receive  # type: ignore[method-assign]
        if method != "HEAD" and not cycle.waiting_for_100_continue:
            cycle.transport = HeadWithBody(self.transport)  # type: ignore[assignment]
        super()._start_asgi_task(cycle, app)

    async def _receive(self) -> Any:
        """uvicorn's `receive`, which marks the request as waiting for its body."""
        cycle = self._running
        assert cycle is not None  # noqa: S101  # its application calls this
        self._awaits_body = not cycle.response_started
        self._settle()
        try:
            return await RequestResponseCycle.receive(cycle)
        finally:
            self._awaits_body = False
            self._settle()

    def _in_progress(self) -> RequestResponseCycle | None:
        """The request that is being received or answered."""
        cycle = self._running
        return None if cycle is None or cycle.response_complete else cycle

    def _arm(self, seconds: float, act: Callable[[], None]) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, act)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

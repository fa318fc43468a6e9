"""Connections that a busy process takes on for probes alone; all other requests are 503 at once."""

import asyncio
from collections.abc import Callable
from typing import cast

from app.core.admission import Admission
from app.core.http_protocol import CLOSE, OVERLOAD, PROBES, BoundedProtocol, response
from app.core.telemetry.metrics import REQUESTS_REFUSED

TIMEOUT = 1.0
"""Seconds that such a connection may take, from its start to its end."""
MAX_HEAD = 8192
"""Bytes of a request's head that are kept while it is no whole one."""
_PROBES = b"GET " + PROBES, b"HEAD " + PROBES
END = b"\r\n\r\n"


class SpareProtocol(asyncio.Protocol):
    """Waits for the first bytes. A probe is served; any other request is, if there is room again.

    Where there are too many, the oldest ends: one that says nothing keeps no probe out.

    Args:
        admission: decides.
        others: of this kind that are open, the oldest first.
        serve: makes the protocol of a connection that is served after all.
    """

    def __init__(
        self,
        admission: Admission,
        others: "dict[SpareProtocol, None]",
        serve: Callable[[], BoundedProtocol],
    ) -> None:
        self._admission = admission
        self._others = others
        self._protocol = serve
        self._head = b""
        self._is_refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(TIMEOUT, self._transport.abort)
        self._others[self] = None
        if len(self._others) > self._admission.max_spare:
            next(iter(self._others)).end()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's
        self._forget()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._head += data
        is_probe = self._head.startswith(_PROBES)
        is_begun = any(probe.startswith(self._head) for probe in _PROBES)
        if is_begun and not is_probe:
            return  # a few bytes of what may become one
        admission = self._admission
        if admission.admits_connection() or (is_probe and admission.admits_request(is_probe=True)):
            self._serve()
        elif not is_probe or END in self._head or len(self._head) > MAX_HEAD:
            self._refuse()

    def end(self) -> None:
        """Close it at once."""
        self._forget()
        self._transport.abort()

    def _serve(self) -> None:
        self._forget()
        protocol = self._protocol()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._head)

    def _refuse(self) -> None:
        self._is_refused = True
        status, reason = OVERLOAD
        REQUESTS_REFUSED.labels(reason).inc()
        self._transport.write(response(status, (), CLOSE))
        if self._head.startswith((b"GET ", b"HEAD ")) and self._head.endswith(END):
            self._transport.close()
        elif self._transport.can_write_eof():
            # More of the request is on its way: to close now would reset the connection before
            # the client has read the answer.
            self._transport.write_eof()

    def _forget(self) -> None:
        self._timer.cancel()
        self._others.pop(self, None)

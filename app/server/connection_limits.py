"""Installs the limits on connections and requests in the running uvicorn server."""

import signal
import sys
from functools import partial
from typing import Any, cast

import uvicorn

from app.core.config import ServerSettings
from app.server.acceptor import Acceptor
from app.server.admission import Admission, raise_descriptor_limit
from app.server.http_protocol import BoundedProtocol


def running_server() -> uvicorn.Server | None:
    """The uvicorn server that runs this application; None in a command or a test."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return server if isinstance(server, uvicorn.Server) else None


def limit_connections(settings: ServerSettings) -> None:
    """Replace the protocol and the acceptor of the running uvicorn server by those with limits.
    Call during startup, before the server listens.

    If uvicorn itself terminates TLS, and on Windows, only requests are limited.
    """
    if (server := running_server()) is None:
        return
    admission = Admission(settings.max_requests, settings.max_connections, raise_descriptor_limit())
    admission.watch(server.server_state.tasks, server.server_state.connections)
    config, serve = server.config, server.main_loop
    config.http_protocol_class = cast("Any", partial(BoundedProtocol, admission=admission))
    config.ws_protocol_class = None
    if config.is_ssl or sys.platform == "win32":
        return

    async def accept_and_serve() -> None:
        acceptor = Acceptor(server, admission)
        for listener in server.servers:
            acceptor.listen(listener.sockets)
            listener.close()
        server.servers = [cast("Any", acceptor)]
        await serve()

    server.main_loop = accept_and_serve  # type: ignore[method-assign]  # it listens by then

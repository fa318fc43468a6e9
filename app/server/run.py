"""Runs uvicorn for `backend serve`: binds the port, handles signals."""

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT
from ipaddress import ip_address
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from app.core.output import end_standard_output
from app.core.telemetry.metrics_directory import shared_metrics_directory

if sys.platform != "win32":  # which has neither its signals nor file descriptors to wait for
    from app.server.supervisor import Supervisor


class AddressError(Exception):
    """The address cannot be bound; the message names the setting."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Bind the port on each address of the host; connections are refused until it is served.

    Raises:
        AddressError: the port is in use or not permitted, or the address is not on this machine.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise AddressError(_not_ours(host)) from None
    sockets: list[socket.socket] = []
    for family, kind, protocol, _, address in dict.fromkeys(addresses):
        try:
            sockets.append(_bound(family, kind, protocol, address))
        except OSError as error:
            if error.errno == EAFNOSUPPORT or (error.errno == EADDRNOTAVAIL and sockets):
                continue  # a name may have an IPv6 address on a machine without IPv6
            for taken in sockets:
                taken.close()
            raise AddressError(_refused(host, port, error)) from None
    return sockets


def _bound(family: int, kind: int, protocol: int, address: Any) -> socket.socket:
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    bound.set_inheritable(True)
    return bound


def _refused(host: str, port: int, error: OSError) -> str:
    if error.errno == EADDRINUSE:
        return f"SERVER_PORT {port} is in use on {host}: end what listens there, or choose another"
    if isinstance(error, PermissionError):
        return f"SERVER_PORT {port} is not permitted: choose one above 1023"
    return _not_ours(host)


def _not_ours(host: str) -> str:
    return f"SERVER_HOST {host}: no address of this machine; choose one that it has"


def url_of(host: str, sockets: list[socket.socket]) -> str:
    """The local URL of a server that listens at `host`, without a trailing slash."""
    with suppress(ValueError):  # `host` is a name
        address = ip_address(host)
        if address.is_unspecified:  # listens on all addresses
            host = "127.0.0.1" if address.version == 4 else "::1"
    port = sockets[0].getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _TerminatedError(BaseException):
    """A signal that ends the process.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number


@contextmanager
def unwind_on_signal() -> Iterator[None]:
    """Unwind the block on SIGTERM and SIGHUP, then end the process by the same signal.

    uvicorn handles SIGTERM itself while it serves, and raises it again at its end: resources that
    were opened around it would stay open. SIGUSR1 and SIGUSR2, which would end the process, are
    ignored from now on, also by its workers.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        raise _TerminatedError(number)

    for name in "SIGTERM", "SIGHUP":
        if hasattr(signal, name) and signal.getsignal(signal.Signals[name]) != signal.SIG_IGN:
            signal.signal(signal.Signals[name], handle)
    for name in "SIGUSR1", "SIGUSR2":
        if hasattr(signal, name):
            signal.signal(signal.Signals[name], signal.SIG_IGN)
    try:
        yield
    except _TerminatedError as terminated:
        end_standard_output()
        signal.signal(terminated.number, signal.SIG_DFL)
        signal.raise_signal(terminated.number)


def run(config: uvicorn.Config, sockets: list[socket.socket], patience: float) -> int:
    """Serve until a signal is received.

    Args:
        config: uvicorn's configuration.
        sockets: bound sockets.
        patience: seconds that a worker may take to stop.

    Returns:
        The exit code.
    """
    if config.workers > 1:
        if sys.platform == "win32":
            Multiprocess(config, sockets).run()
            return 0
        with shared_metrics_directory():
            return Supervisor(config, sockets, patience).run()
    config.load_app()
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets)
    return 0 if server.started else STARTUP_FAILURE

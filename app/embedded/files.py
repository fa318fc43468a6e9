"""Files, locks and ports that embedded servers are made of."""

from __future__ import annotations

import importlib.util
import os
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

try:
    import fcntl

    import psutil  # noqa: F401  # asked for here, so that nobody else has to
except ImportError:  # Windows, or an installation without the `development` extra
    CAN_RUN = False
else:
    CAN_RUN = True

POLL = 0.02
"""Seconds between two looks."""

# Nothing else of the caller's environment: a PGPORT, an LC_ALL or a TZ would change the server.
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def package_folder(name: str) -> Path:
    """Where the package lies, found without running it; where it is absent, nowhere."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin if spec and spec.origin else os.devnull).parent


def private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def write_private(path: Path, text: str) -> None:
    """All of it or nothing, and at no moment readable by others."""
    partial = path.with_name(f"{path.name}.partial")
    with open(partial, "w", opener=private) as file:
        file.write(text)
    partial.replace(path)


@contextmanager
def locked(file: IO[str], operation: int) -> Iterator[None]:
    fcntl.flock(file, operation)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough while a fork holds a copy


def free_port() -> int:
    """A port of 127.0.0.1 where a server may listen.

    Raises:
        OSError: this machine has no such address, or does not reach it.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        socket.create_connection(address, timeout=5).close()  # one may listen where lo is down
        return int(address[1])


def within(seconds: float, condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True

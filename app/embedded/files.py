"""Helpers for files, locks and ports, shared by the embedded servers."""

from __future__ import annotations

import importlib.util
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import fcntl

    import psutil  # noqa: F401  # tested here for all modules
except ImportError:  # Windows, or an installation without the `development` extra
    CAN_RUN = False
else:
    CAN_RUN = True

# Without the rest of the caller's environment: a PGPORT, LC_ALL or TZ would change the server.
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def package_folder(name: str) -> Path:
    """The folder of a package, found without importing it; a non-existing one if it is absent."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin if spec and spec.origin else os.devnull).parent


def private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def write_private(path: Path, text: str) -> None:
    """Write a file atomically, at no moment readable by other users."""
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
    """A free port of 127.0.0.1.

    Raises:
        OSError: the loopback interface is missing or down.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        socket.create_connection(address, timeout=5).close()  # listening succeeds if lo is down
        return int(address[1])

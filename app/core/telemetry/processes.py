"""Several worker processes, one set of figures.

prometheus-client writes each process's values into files of PROMETHEUS_MULTIPROC_DIR, where it is
set before the first import; `backend serve` sets it for several workers. Counters of a process
that died stay, since what it counted has happened; its gauges go.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from prometheus_client.multiprocess import mark_process_dead

if sys.platform != "win32":
    import fcntl

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def shared_figures() -> Iterator[None]:
    """Let the processes that are started within share a fresh directory for their figures, in
    the one that the variable names where it names one. Windows has no locks for it."""
    if sys.platform == "win32":
        yield
        return
    outer = os.environ.get(VARIABLE)
    with TemporaryDirectory(prefix="backend-api-metrics-", dir=outer) as folder:
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            if outer is None:
                del os.environ[VARIABLE]
            else:
                os.environ[VARIABLE] = outer


def folder() -> Path | None:
    """Where processes share their figures; None where this one is alone."""
    path = os.environ.get(VARIABLE)
    return Path(path) if path else None


class Lease:
    """Says that this process is alive, for as long as it is.

    An `flock`, which the kernel gives back however the process ends. A process id would not do: it
    outlives its process until the parent asks, and may be given to another.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / f"{os.getpid()}.alive"
        while True:
            self._file: TextIO = path.open("w")
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if _is_open(self._file, path):
                break
            self._file.close()  # removed by a sibling who found it before it was locked

    def release(self) -> None:
        self._file.close()


def _is_open(file: TextIO, path: Path) -> bool:
    """Whether `file` is what is at `path`."""
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def bury_the_dead(folder: Path) -> None:
    """Remove the gauges of processes that have ended."""
    for lease in folder.glob("*.alive"):
        if not _is_held(lease):
            mark_process_dead(lease.stem, str(folder))
            lease.unlink(missing_ok=True)


def _is_held(lease: Path) -> bool:
    try:
        with lease.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # a sibling was quicker
        pass
    return False

"""Several worker processes, one set of figures.

prometheus-client writes each process's values into files of PROMETHEUS_MULTIPROC_DIR, where it is
set before the first import; `backend serve` sets it for several workers. Counters of a process
that died stay, since what it counted has happened; its gauges go.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import structlog
from prometheus_client.multiprocess import mark_process_dead

if sys.platform != "win32":
    import fcntl

log = structlog.get_logger("app.metrics")

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def shared_figures() -> Iterator[None]:
    """Let the processes that are started within share a fresh directory for their figures, in
    the one that the variable names where it names one. Where none can be made, each process has
    its own figures alone."""
    outer = os.environ.pop(VARIABLE, None)
    with ExitStack() as stack:
        try:
            fresh = TemporaryDirectory(
                prefix="backend-api-metrics-", dir=outer, ignore_cleanup_errors=True
            )
            os.environ[VARIABLE] = stack.enter_context(fresh)
        except OSError as error:
            log.warning("figures_not_shared", reason=repr(error))
        try:
            yield
        finally:
            os.environ.pop(VARIABLE, None)
            if outer is not None:
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
        self._path = folder / f"{os.getpid()}.alive"
        self._file: TextIO | None = None
        self.renew()

    def renew(self) -> None:
        """Take it, where it is not held or its file was removed; in vain where the folder cannot be
        written."""
        with suppress(OSError):
            while self._file is None or not _is_open(self._file, self._path):
                self.release()  # removed, by a sibling who found it before it was locked as well
                self._file = self._path.open("w")
                fcntl.flock(self._file, fcntl.LOCK_EX)

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _is_open(file: TextIO, path: Path) -> bool:
    """Whether `file` is what is at `path`."""
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def remove_ended(folder: Path) -> None:
    """Remove the gauges of processes that have ended, as far as the folder can be written."""
    with suppress(OSError):
        for lease in folder.glob("*.alive"):
            if not _is_held(lease):
                with suppress(FileNotFoundError):  # a sibling was quicker
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

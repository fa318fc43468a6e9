"""Directory that several web processes share for their metrics, and removal of ended processes.

prometheus-client writes each process's values into files of PROMETHEUS_MULTIPROC_DIR, if that is
set before the first import; `backend serve` sets it for several workers. The counters of a process
that has ended stay; its gauges are removed.
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
def shared_metrics_directory() -> Iterator[None]:
    """Create a temporary directory for the metrics of the processes started in the block, inside
    PROMETHEUS_MULTIPROC_DIR if that is set. If it cannot be created, each process has its own
    metrics only."""
    outer = os.environ.pop(VARIABLE, None)
    with ExitStack() as stack:
        try:
            fresh = TemporaryDirectory(
                prefix="backend-api-metrics-", dir=outer, ignore_cleanup_errors=True
            )
            os.environ[VARIABLE] = stack.enter_context(fresh)
        except OSError as error:
            log.warning("metrics_not_shared", reason=repr(error))
        try:
            yield
        finally:
            os.environ.pop(VARIABLE, None)
            if outer is not None:
                os.environ[VARIABLE] = outer


def metrics_directory() -> Path | None:
    """The directory of shared metrics; None for a single process."""
    path = os.environ.get(VARIABLE)
    return Path(path) if path else None


class AliveLock:
    """A lock that marks this process as alive.

    An `flock`, which the kernel releases however the process ends. A process id is not enough: it
    exists until the parent waits for the process, and may be reused.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{os.getpid()}.alive"
        self._file: TextIO | None = None
        self.renew()

    def renew(self) -> None:
        """Take the lock, if it is not held or its file was removed. Has no effect in a read-only
        folder."""
        with suppress(OSError):
            while self._file is None or not _is_open(self._file, self._path):
                self.release()  # removed by another process before it was locked
                self._file = self._path.open("w")
                fcntl.flock(self._file, fcntl.LOCK_EX)

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _is_open(file: TextIO, path: Path) -> bool:
    """Whether `file` is the file at `path`."""
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def remove_ended(folder: Path) -> None:
    """Remove the gauges of processes that have ended, if the folder is writable."""
    with suppress(OSError):
        for lease in folder.glob("*.alive"):
            if not _is_held(lease):
                with suppress(FileNotFoundError):  # removed by another process
                    mark_process_dead(lease.stem, str(folder))
                lease.unlink(missing_ok=True)


def _is_held(lease: Path) -> bool:
    try:
        with lease.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # removed by another process
        pass
    return False

"""Standard output and standard error without waiting: text is queued, and a thread writes it.

`logging.handlers.QueueListener` of the standard library does so for log records alone, and its
queue either has no bound or raises when it is full.
"""

import atexit
import io
import os
import select
import sys
import time
from threading import Condition, RLock, Thread, current_thread
from typing import Any, TextIO

import structlog

from app.core.telemetry.metrics import LOG_LINES_DROPPED

log = structlog.get_logger("app.output")

MAX_QUEUED = 4 << 20
"""Bytes that a process queues for each stream: the lines of some 14,000 requests."""
BATCH_DELAY = 0.02
"""Seconds from a line to its writing, with all other lines of that time. To wake the thread for
each line would cost a request more than writing the line does."""
DRAIN_TIMEOUT = 1.0
"""Seconds that a process waits at its end for what is queued."""
RETRY = 0.05
"""Seconds between two attempts at a file that refuses to wait (`O_NONBLOCK`) and is full."""
_ATOMIC: int = getattr(select, "PIPE_BUF", 512)
"""Bytes that reach a pipe as one piece, whichever other processes write to it."""
_COUNT = {reason: LOG_LINES_DROPPED.labels(reason).inc for reason in ("blocked", "failed")}


class QueuedOutput(io.TextIOBase):
    """A text stream whose `write` neither waits nor raises `OSError`.

    Lines for which the queue has no room, and those that the system refuses, are dropped and
    counted. As soon as lines can be written again, the log says how many were dropped.

    Args:
        stream: where to write; None where the process has none.
    """

    errors = "backslashreplace"

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream
        # Not through the stream's buffer, whose lock the interpreter waits for when it ends.
        buffer: Any = getattr(stream, "buffer", None)
        self._raw: Any = getattr(buffer, "raw", buffer)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self.reset()

    def reset(self) -> None:
        """Begin with an empty queue. A fork calls it: the thread and its queue stay with the
        parent."""
        # Reentrant: within `write` the garbage collector may run, and what it ends may log.
        self._changed = Condition(RLock())
        self._queue = bytearray()
        self._dropped = dict.fromkeys(_COUNT, 0)
        self._thread: Thread | None = None
        self._is_waiting = False
        self._is_writing = False
        self._is_stuck = False
        self._is_torn = False
        self._is_ending = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute of the base
        return self._encoding

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Queue text; its length, as for any stream."""
        data = str.encode(text, self._encoding, self.errors)
        if sys.is_finalizing():  # the thread may have ended with the lock
            return len(text)
        with self._changed:
            if not self._has_thread():
                self._drop("failed", data)
            elif len(self._queue) + len(data) > MAX_QUEUED and current_thread() is not self._thread:
                self._drop("blocked", data)
            else:
                self._queue += data
                if self._is_waiting:
                    self._is_waiting = False
                    self._changed.notify_all()
        if self._is_ending:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Wait until all is written, for `DRAIN_TIMEOUT` at most."""
        self.drain(DRAIN_TIMEOUT)

    def drain(self, seconds: float) -> None:
        """Wait until all is written, or until the time is over: then no later call waits, before
        something could be written."""
        if self._is_stuck or sys.is_finalizing() or current_thread() is self._thread:
            return
        with self._changed:
            self._changed.notify_all()
            self._is_stuck = not self._changed.wait_for(self._is_drained, seconds)

    def end(self, seconds: float) -> None:
        """Write what is queued; from now on each `write` is followed by a `flush`."""
        self._is_ending = True
        self.drain(seconds)

    def _is_drained(self) -> bool:
        return not self._queue and not self._is_writing

    def _has_thread(self) -> bool:
        """Whether the thread runs; it is started by the first line."""
        if self._thread is None and self._raw is not None:
            self._thread = Thread(target=self._work, name="output", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the system has no thread left, or the interpreter is ending
                self._thread = None
        return self._thread is not None

    def _work(self) -> None:
        while True:
            piece = self._next_piece()
            if self._writes(piece):
                self._is_stuck = False
                self._report_dropped()

    def _next_piece(self) -> bytes:
        """Whole lines from the queue's beginning, waiting for the first."""
        with self._changed:
            self._is_writing = False
            if not self._queue:
                self._changed.notify_all()
                while not self._queue:
                    self._is_waiting = True
                    self._changed.wait()
                self._changed.wait(BATCH_DELAY)
            queue = self._queue
            end = queue.rfind(b"\n", 0, _ATOMIC) + 1 or queue.find(b"\n") + 1 or len(queue)
            piece = bytes(queue[:end])
            del queue[:end]
            self._is_writing = True
            return piece

    def _writes(self, piece: bytes) -> bool:
        """Write a piece; whether all of it was written."""
        begin = b"\n" if self._is_torn else b""
        data, done = begin + piece, 0
        try:
            while done < len(data):
                written = self._raw.write(data[done:])
                if written is None:
                    time.sleep(RETRY)
                else:
                    done += written
        except (OSError, ValueError):  # the latter: it was closed meanwhile
            if done:
                self._is_torn = not data[:done].endswith(b"\n")
            self._drop("failed", data[max(done, len(begin)) :])
            return False
        self._is_torn = False
        return True

    def _drop(self, reason: str, data: bytes) -> None:
        count = data.count(b"\n")
        with self._changed:
            self._dropped[reason] += count
        _COUNT[reason](count)

    def _report_dropped(self) -> None:
        if any(self._dropped.values()):
            with self._changed:
                dropped, self._dropped = self._dropped, dict.fromkeys(_COUNT, 0)
            log.warning("log_lines_dropped", **dropped)


def queue_standard_output() -> None:
    """Put a `QueuedOutput` in front of standard output and standard error, unless something else
    stands there already."""
    _occupy_closed_files()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__"):
            queued = QueuedOutput(stream)
            setattr(sys, name, queued)
            if hasattr(os, "register_at_fork"):  # not on Windows
                os.register_at_fork(after_in_child=queued.reset)


def _occupy_closed_files() -> None:
    """Have no socket become standard output where the process was started without one.

    It cannot be written to, and workers inherit it: they count lines as dropped, too.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)  # noqa: FBT003  # takes no keyword


@atexit.register
def end_standard_output() -> None:
    """Write what is queued for standard output and standard error, for `DRAIN_TIMEOUT` at most;
    what is written later is waited for. A signal that ends the process skips what is `atexit`."""
    until = time.monotonic() + DRAIN_TIMEOUT
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, QueuedOutput):
            stream.end(max(0.0, until - time.monotonic()))

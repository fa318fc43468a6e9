"""Reload for `backend dev`: another web process after each change of a file."""

import gc
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
from watchfiles import Change, watch

from app.core.config import ROOT

log = structlog.get_logger("app.reload")

WATCHED = ROOT / "app", ROOT / "alembic"
ALSO_WATCHED = ROOT / "main.py", ROOT / ".env"
"""Files of a folder that has too much else to be watched."""
SUFFIXES = frozenset({".py", ".html", ".css", ".js", ".svg", ".txt"})
"""Endings of files that a process reads once."""
CHECK_INTERVAL = 200
"""Milliseconds between two checks of `ALSO_WATCHED`."""
PRELOADED = (
    "fastapi",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
    "sqlalchemy.ext.asyncio",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "alembic.config",
    "redis.asyncio",
    "jinja2",
    "structlog",
    "typer",
    "rich.panel",
    "slowapi",
    "fastapi_pagination",
    "prometheus_client",
    "passlib.context",
    "pydantic_settings",
)
"""Packages that take longest to import. They are imported once, in a process of which each web
process is a fork: it imports the application alone."""


class Reloader:
    """Runs one web process, called the worker, at a time, and replaces it where a file has changed.

    A worker that cannot start, because of a mistake in the code, is replaced at the next change.

    Args:
        config: of uvicorn.
        sockets: bound sockets, which stay open: a request during a reload waits.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        self._config, self._sockets = config, sockets
        self._stop = threading.Event()
        methods = multiprocessing.get_all_start_methods()
        context = "forkserver" if "forkserver" in methods else "spawn"
        self._context = multiprocessing.get_context(context)
        self._context.set_forkserver_preload([*PRELOADED])

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM."""
        for number in signal.SIGINT, signal.SIGTERM:
            signal.signal(number, self._received)
        worker = self._start()
        try:
            for changed in self._changes():
                log.info("reloading", changed=changed)
                worker.terminate()
                worker.join()
                worker = self._start()
        finally:
            worker.terminate()
            worker.join()

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()

    def _start(self) -> BaseProcess:
        worker = self._context.Process(target=_work, args=(self._config, self._sockets, _stdin()))  # type: ignore[attr-defined]  # of every context
        worker.start()
        return worker  # type: ignore[no-any-return]

    def _changes(self) -> Iterator[list[str]]:
        """The changed files, as paths within the project."""
        seen = _times()
        changes = watch(
            *WATCHED,
            watch_filter=_is_source,
            stop_event=self._stop,
            yield_on_timeout=True,
            rust_timeout=CHECK_INTERVAL,
        )
        for change in changes:
            before, seen = seen, _times()
            changed = {Path(path) for _, path in change}
            changed |= {path for path in ALSO_WATCHED if seen[path] != before[path]}
            if changed:
                yield sorted(str(path.relative_to(ROOT)) for path in changed)


def _is_source(_change: Change, path: str) -> bool:
    return Path(path).suffix in SUFFIXES


def _times() -> dict[Path, float]:
    return {path: path.stat().st_mtime if path.exists() else 0.0 for path in ALSO_WATCHED}


def _stdin() -> int | None:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None


def _work(config: uvicorn.Config, sockets: list[socket.socket], stdin: int | None) -> None:
    """Serve, in a worker; a debugger in it reads from the terminal of the parent."""
    if stdin is not None:
        sys.stdin = os.fdopen(stdin)
    gc.disable()  # until start-up ends: what it makes stays, and collections take a fifth of it
    uvicorn.Server(config).run(sockets)

"""`launched`: a process that serves, for tests and benchmarks; it is started, awaited and ended."""

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from app.embedded.polling import within


@contextmanager
def launched(
    command: Sequence[str | Path],
    log: Path,
    is_ready: Callable[[], bool],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    redirection: str = "",
    seconds: float = 100,
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is ready. It leads a process group, and is ended by SIGTERM.

    Args:
        command: program and arguments.
        log: its output is appended to this file.
        is_ready: polled until it is true.
        environment: all variables of the process; by default those of this one.
        folder: its working directory.
        redirection: of its output, as for a shell: `>/dev/null`.
        seconds: time that it has to become ready.

    Raises:
        RuntimeError: it has ended, or is not ready in time; the message is its log.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        is_over = within(seconds, lambda: process.poll() is not None or is_ready())
        if process.poll() is not None or not is_over:
            raise RuntimeError(log.read_text())
        yield process
    finally:
        if process.poll() is None:
            stop(process)


def stop(process: "subprocess.Popen[bytes]", seconds: float = 40) -> int:
    """End a process by SIGTERM; returns its exit code.

    Raises:
        TimeoutExpired: it did not end, and was killed.
    """
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def answers(url: str, timeout: float = 5, **headers: str) -> bool:
    """Whether a GET is answered with 200 in time, in seconds."""
    try:
        return httpx.get(url, timeout=timeout, headers=headers).status_code == 200
    except httpx.HTTPError:
        return False


def accepts(port: int) -> bool:
    """Whether a program listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

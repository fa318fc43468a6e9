"""`backend serve` in processes of its own, as it runs in production."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from app.embedded.files import free_port, within
from tests.conftest import Servers

CLI = sys.executable, "-m", "app.cli"


@dataclass
class Instance:
    """One that serves, or has served.

    Attributes:
        url: where.
        log: everything it wrote.
    """

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def answers(self) -> bool:
        """Whether it is ready. One that has ended instead is an error.

        Raises:
            RuntimeError: it ended; its log is the message.
        """
        if self.process.poll() is not None:
            raise RuntimeError(self.log.read_text())
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self, seconds: float = 40) -> int:
        """End it in order; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=seconds)


def workers(instance: Instance) -> list[psutil.Process]:
    """Its worker processes that live."""
    found = []
    for child in psutil.Process(instance.process.pid).children():
        with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):  # killed just now
            if "--multiprocessing-fork" in child.cmdline():
                found.append(child)
    return found


def environment(servers: Servers) -> dict[str, str]:
    """That of a process on these servers."""
    return {
        **os.environ,
        "DATABASE_URL": servers.postgres,
        "CACHE_REDIS_URL": servers.redis,
        "LIMITER_REDIS_URL": servers.redis,
        "AUTH_SECRET_KEY": "a secret that is only used in the tests",
    }


@contextmanager
def instance(
    servers: Servers,
    folder: Path,
    port: int | None = None,
    *,
    redirection: str = "",
    prefix: Sequence[str] = (),
    python: str | Path = sys.executable,
    **settings: str,
) -> Iterator[Instance]:
    """One that is ready.

    Args:
        servers: those that it uses, unless `settings` name others.
        folder: for its log.
        port: a free one where left out.
        redirection: of its output, which goes to the log otherwise, as for a shell: `>&-`.
        prefix: a command that is given the one of the instance, and becomes it.
        python: the interpreter, by its path.
        settings: its environment variables.
    """
    port = port or free_port()
    own = {"LOG_FORMAT": "json", "SERVER_PORT": str(port), **settings}
    log = folder / f"instance-{port}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*prefix, "/bin/sh", "-c", f'exec "$@" {redirection}', "sh", python, *CLI[1:], "serve"],
            env=environment(servers) | own,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    started = Instance(f"http://127.0.0.1:{port}", process, log)
    try:
        assert within(100, started.answers)
        yield started
    finally:
        if process.poll() is None:
            started.stop()

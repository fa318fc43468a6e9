"""Instances of the service and job workers: each in a process of its own, as in production."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from app.embedded.files import free_port
from tests.conftest import Servers
from tests.launcher import answers, launched, stop

CLI = sys.executable, "-m", "app.cli"
SERVE = *CLI, "serve"


@dataclass
class Instance:
    """An instance that serves, or has served. `log`: the file with its output."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> int:
        """End it by SIGTERM; returns its exit code."""
        return stop(self.process)


def workers(instance: Instance) -> list[psutil.Process]:
    """Its web processes that live."""
    found = []
    for child in psutil.Process(instance.process.pid).children():
        with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):  # killed just now
            if "--multiprocessing-fork" in child.cmdline():
                found.append(child)
    return found


def environment(servers: Servers) -> dict[str, str]:
    """The variables of a process on these servers."""
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
    command: Sequence[str] = SERVE,
    probe: str = "/health/ready",
    redirection: str = "",
    **settings: str,
) -> Iterator[Instance]:
    """An instance that is ready.

    Args:
        servers: those that it uses, unless `settings` name others.
        folder: for its log.
        port: by default a free one.
        command: that starts it.
        probe: path that is answered with 200 once it is ready.
        redirection: see `launched`.
        settings: its environment variables.
    """
    port = port or free_port()
    log = folder / f"instance-{port}.log"
    own = {"LOG_FORMAT": "json", "SERVER_PORT": str(port), **settings}
    with launched(
        command,
        log,
        partial(answers, f"http://127.0.0.1:{port}{probe}"),
        environment=environment(servers) | own,
        redirection=redirection,
    ) as process:
        yield Instance(port, process, log)


@contextmanager
def worker(servers: Servers, folder: Path, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`backend worker`, in a process of its own."""
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [*CLI, "worker"],
            env=environment(servers) | {"LOG_FORMAT": "json"} | settings,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)

"""`backend serve` in processes of its own, as it runs in production."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.database.embedded.files import free_port, within
from tests.conftest import Servers


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


@contextmanager
def instance(
    servers: Servers,
    folder: Path,
    port: int | None = None,
    prefix: Sequence[str] = (),
    **environment: str,
) -> Iterator[Instance]:
    """One that is ready.

    Args:
        servers: those that it uses, unless `environment` names others.
        folder: for its log.
        port: a free one where left out.
        prefix: a command that is given the one of the instance, and becomes it.
        environment: settings.
    """
    port = port or free_port()
    settings = {
        "DATABASE_URL": servers.postgres,
        "CACHE_REDIS_URL": servers.redis,
        "LIMITER_REDIS_URL": servers.redis,
        "AUTH_SECRET_KEY": "a secret that is only used in the tests",
        "LOG_FORMAT": "json",
        "SERVER_PORT": str(port),
        **environment,
    }
    log = folder / f"instance-{port}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "app.cli", "serve"],
            env={**os.environ, **settings},
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

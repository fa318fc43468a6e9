"""The service with several worker processes, as `backend serve` starts it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Servers

SCRAPE_TOKEN = "a scrape token that is only used in the tests"


@dataclass(frozen=True)
class Workers:
    """Where they are served."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def text(self) -> str:
        """What Prometheus would read."""
        response = httpx.get(
            f"{self.url}/api/v1/metrics/prometheus",
            headers={"Authorization": f"Bearer {SCRAPE_TOKEN}"},
            timeout=10,
        )
        assert response.status_code == 200, response.text
        return response.text

    def figures(self) -> "Scrape":
        return Scrape(self.text())


class Scrape:
    """One exposition, read with the library's own parser."""

    def __init__(self, text: str) -> None:
        self._samples = [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def value(self, name: str, **having: str) -> float:
        """The sum of the samples with such labels."""
        return sum(self.values(name, **having))

    def values(self, name: str, **having: str) -> list[float]:
        return [
            value
            for sample, labels, value in self._samples
            if sample == name and having.items() <= labels.items()
        ]

    def labels(self, name: str, label: str) -> set[str]:
        return {labels[label] for sample, labels, _ in self._samples if sample == name}

    def series(self) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        return {(name, tuple(sorted(labels.items()))) for name, labels, _ in self._samples}


@contextmanager
def workers(servers: Servers, count: int = 2, **environment: str) -> Iterator[Workers]:
    """`backend serve` with `count` workers, all of them serving; ended by SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = {
        "DATABASE_URL": servers.postgres,
        "CACHE_REDIS_URL": servers.redis,
        "LIMITER_REDIS_URL": servers.redis,
        "AUTH_SECRET_KEY": "a secret that is only used in the tests",
        "TELEMETRY_SCRAPE_TOKEN": SCRAPE_TOKEN,
        **environment,
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", str(port), "--workers", str(count)],
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
    )
    try:
        site = Workers(port)
        assert reached(lambda: _is_served_by(site, count), seconds=90)
        assert server.poll() is None
        yield site
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)  # one that is starting is waited for first


def _is_served_by(site: Workers, count: int) -> bool:
    try:
        return site.figures().value("worker_processes") == count
    except httpx.TransportError:
        return False


def reached(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False

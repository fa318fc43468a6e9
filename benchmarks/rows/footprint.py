"""P10: memory after work, and how soon a second start serves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks import load
from benchmarks.instance import application, servers
from benchmarks.report import Figure

PATHS = ("/api/v1/users/me", "/api/v1/dashboard/stats", "/api/v1/users?size=50")


def measure(runs: int) -> Iterator[Figure]:
    resident = []
    with servers() as own:
        for _ in range(runs):
            with application(own, 10_000) as service:
                requests = [load.get(path, service.token) for path in PATHS]
                load.run(service.port, requests, seconds=5).expect(200)
                resident.append(service.resident / 2**20)
    yield Figure("P10", "resident memory of a worker after work", resident, "MiB", most=150)
    with TemporaryDirectory(prefix="backend-api-") as folder:
        Path(folder).chmod(0o755)
        seconds = [_seconds_to_healthy(Path(folder)) for _ in range(runs + 1)][1:]
    yield Figure("P10", "second start to healthy", seconds, "s", most=5)


def _seconds_to_healthy(local: Path) -> float:
    """With embedded servers in `local`, of which the first start has made the data."""
    port = 8123
    code = (
        "import uvicorn, main; from pathlib import Path; from app.core.config import get_settings; "
        f"uvicorn.run(main.create_app(get_settings(), Path({str(local)!r})), port={port})"
    )
    began = time.perf_counter()
    server = subprocess.Popen(  # noqa: S603  # of our own
        [sys.executable, "-c", code],
        env={**os.environ, "ENVIRONMENT": "development"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                    return time.perf_counter() - began
            except httpx.TransportError:
                time.sleep(0.02)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()

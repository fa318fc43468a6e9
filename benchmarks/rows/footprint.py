"""P10: memory after work, and how soon a second start serves."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from app.core.config import ROOT
from app.embedded.files import free_port
from benchmarks import load
from benchmarks.instance import application, servers
from benchmarks.report import Figure
from tests.dockerfile import Dockerfile
from tests.launcher import answers, launched

IMAGE = Dockerfile(ROOT / "deploy" / "Dockerfile").environment()
ALLOCATOR = {"GLIBC_TUNABLES": IMAGE["GLIBC_TUNABLES"]}
HASHES = """
import statistics, time
from concurrent.futures import ThreadPoolExecutor
from app.core.security.passwords.hashing import _CONTEXT

def measure():
    began = time.thread_time()
    _CONTEXT.hash("correct horse battery staple")
    return time.thread_time() - began

with ThreadPoolExecutor(1) as thread:
    print(statistics.median([thread.submit(measure).result() for _ in range(40)]) * 1000)
"""
PATHS = ("/api/v1/users/me", "/api/v1/dashboard/stats", "/api/v1/users?size=50")


def measure(runs: int) -> Iterator[Figure]:
    resident = []
    with servers() as own:
        for _ in range(runs):
            with application(own, 10_000, **ALLOCATOR) as service:
                requests = [load.get(path, service.token) for path in PATHS]
                load.run(service.port, requests, seconds=5).expect(200)
                resident.append(service.resident / 2**20)
    yield Figure("P10", "resident memory of a worker after work", resident, "MiB", most=150)
    returned, kept = zip(*((_hash(ALLOCATOR), _hash({})) for _ in range(runs)), strict=True)
    yield Figure("P10", "a password hash, its memory returned in large pages", returned, "ms")
    yield Figure("P10", "a password hash, its memory kept", kept, "ms")
    with TemporaryDirectory(prefix="backend-api-") as folder:
        Path(folder).chmod(0o755)
        local = Path(folder) / "local"
        seconds = [_seconds_to_healthy(local) for _ in range(runs + 1)][1:]
    yield Figure("P10", "second start to healthy", seconds, "s", most=4)


def _hash(environment: dict[str, str]) -> float:
    """Milliseconds of processor time, the median of 40 in one process."""
    told = {**os.environ, "ENVIRONMENT": "test", **environment}
    command = [sys.executable, "-c", HASHES]
    return float(subprocess.check_output(command, env=told, text=True))  # noqa: S603  # our own


def _seconds_to_healthy(local: Path) -> float:
    """With embedded servers in `local`, of which the first start has made the data."""
    port = free_port()
    code = (
        "import uvicorn, main; from pathlib import Path; from app.core.config import get_settings; "
        f"uvicorn.run(main.create_app(get_settings(), Path({str(local)!r})), port={port})"
    )
    began = time.perf_counter()
    with launched(
        [sys.executable, "-c", code],
        local.with_suffix(".log"),
        partial(answers, f"http://127.0.0.1:{port}/health"),
        environment={**os.environ, "ENVIRONMENT": "development"},
    ):
        return time.perf_counter() - began

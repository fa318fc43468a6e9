"""What measuring costs on the cached statistics, each round with and without, in turn.

Usage: python benchmarks/telemetry_cost.py [--rounds 60] [--seconds 0.5] [--bound 0.10]

Many short rounds in changing order, so that whatever else the machine does meets all alike.
Starts servers of its own, prints a table, and exits with 1 where the throughput of a worker that
has a core to itself would sink by more than the bound: that is one by its processor time for each
request, which is measured apart from what others take.
"""

import argparse
import asyncio
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from app.database.embedded import EmbeddedPostgres, EmbeddedValkey

CONNECTIONS = 16
PATH = "/api/v1/dashboard/stats"
ACCOUNT = {"email": "admin@example.com", "password": "correct horse battery staple"}


@dataclass
class Variant:
    """One way to run the application, and what was measured of it.

    Attributes:
        rates: requests per second, a round each.
        count: requests in all.
        cpu: seconds of the server's processor time in all.
    """

    name: str
    server: psutil.Process
    port: int
    token: str
    rates: list[float] = field(default_factory=list)
    count: int = 0
    cpu: float = 0.0

    def measure(self, seconds: float) -> None:
        before = sum(self.server.cpu_times()[:2])
        began = time.perf_counter()
        count = asyncio.run(_load(self.port, self.token, seconds))
        self.rates.append(count / (time.perf_counter() - began))
        self.count += count
        self.cpu += sum(self.server.cpu_times()[:2]) - before


async def _load(port: int, token: str, seconds: float) -> int:
    """How many requests were answered, over connections that are kept."""
    request = (
        f"GET {PATH} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()
    until = time.perf_counter() + seconds

    async def ask() -> int:
        count = 0
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head  # noqa: S101  # else it measures nothing
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            count += 1
        writer.close()
        return count

    return sum(await asyncio.gather(*(ask() for _ in range(CONNECTIONS))))


@contextmanager
def serving(name: str, module: str, settings: dict[str, str]) -> Iterator[Variant]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", module, "--port", str(port), "--no-access-log"]
    server = subprocess.Popen(  # noqa: S603  # of our own
        command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL
    )
    try:
        yield Variant(name, psutil.Process(server.pid), port, _token(port))
    finally:
        server.terminate()
        server.wait()


def _token(port: int) -> str:
    for _ in range(600):
        try:
            answer = httpx.post(f"http://127.0.0.1:{port}/api/v1/auth/login", json=ACCOUNT)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            token: str = answer.json()["access_token"]
            return token
    raise TimeoutError("the server did not start")


@contextmanager
def variants(folder: Path) -> Iterator[list[Variant]]:
    """Without, with figures in memory, and with figures in files as several workers have them."""
    with ExitStack() as stack:
        settings = {
            "ENVIRONMENT": "test",
            "DATABASE_URL": stack.enter_context(EmbeddedPostgres(folder / "postgres")),
            "CACHE_REDIS_URL": (redis := stack.enter_context(EmbeddedValkey(folder / "valkey"))),
            "LIMITER_REDIS_URL": redis,
            "LIMITER_READ": "100000000/minute",
            "AUTH_SECRET_KEY": "a secret that lives for a benchmark",
            "FIRST_SUPERUSER_EMAIL": ACCOUNT["email"],
            "FIRST_SUPERUSER_PASSWORD": ACCOUNT["password"],
            "LOG_FORMAT": "json",
        }
        shared = folder / "figures"
        shared.mkdir()
        in_files = {"PROMETHEUS_MULTIPROC_DIR": str(shared)}
        yield [
            stack.enter_context(serving("without", "benchmarks.unmeasured:app", settings)),
            stack.enter_context(serving("in memory", "main:app", settings)),
            stack.enter_context(serving("in files", "main:app", settings | in_files)),
        ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="of each variant, in turn")
    parser.add_argument("--seconds", type=float, default=0.5, help="that a round lasts")
    parser.add_argument("--bound", type=float, default=0.10, help="part of throughput to lose")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="backend-api-") as folder:
        Path(folder).chmod(0o755)
        with variants(Path(folder)) as all_of_them:
            for variant in all_of_them:
                asyncio.run(_load(variant.port, variant.token, 1))  # warm
            for turn in range(options.rounds):
                first = turn % len(all_of_them)
                for variant in all_of_them[first:] + all_of_them[:first]:
                    variant.measure(options.seconds)

    console = Console()
    table = Table(
        "figures", "requests/s", "quartiles", "lost", "quartiles", "CPU µs", "more", title=PATH
    )
    floor, worst = all_of_them[0], 0.0
    for variant in all_of_them:
        lost = [1 - rate / bare for rate, bare in zip(variant.rates, floor.rates, strict=True)]
        slow, rate, fast = statistics.quantiles(variant.rates, n=4)
        least, median, most = statistics.quantiles(lost, n=4)
        cpu, bare_cpu = variant.cpu / variant.count, floor.cpu / floor.count
        worst = max(worst, 1 - bare_cpu / cpu)
        table.add_row(
            variant.name,
            f"{rate:.0f}",
            f"{slow:.0f} to {fast:.0f}",
            f"{median:.1%}",
            f"{least:.1%} to {most:.1%}",
            f"{cpu * 1e6:.0f}",
            f"{cpu / bare_cpu - 1:.1%}",
        )
    console.print(table)
    console.print(f"{options.rounds} rounds of {options.seconds} s each, medians; ", end="")
    console.print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    return int(worst > options.bound)


if __name__ == "__main__":
    sys.exit(main())

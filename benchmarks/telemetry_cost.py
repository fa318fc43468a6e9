"""What measuring costs on the cached statistics, each round with and without, in turn.

Usage: python benchmarks/telemetry_cost.py [--rounds 60] [--seconds 0.5] [--bound 0.10]

Many short rounds in changing order, so that whatever else the machine does meets all alike.
Starts servers of its own, prints a table, and exits with 1 where the throughput of a worker that
has a core to itself would sink by more than the bound: that is one by its processor time for each
request, which is measured apart from what others take.
"""

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks import load
from benchmarks.instance import Instance, application, servers

CONNECTIONS = 16
PATH = "/api/v1/dashboard/stats"
USERS = 1_000


@dataclass
class Variant:
    """One way to run the application, and what was measured of it.

    Attributes:
        rates: requests per second, a round each.
        count: requests in all.
        cpu: seconds of the server's processor time in all.
    """

    name: str
    service: Instance
    rates: list[float] = field(default_factory=list)
    count: int = 0
    cpu: float = 0.0

    def warm(self) -> None:
        load.run(self.service.port, self._requests(), CONNECTIONS, 1).expect(200)

    def measure(self, seconds: float) -> None:
        before = sum(self.service.process.cpu_times()[:2])
        answered = load.run(self.service.port, self._requests(), CONNECTIONS, seconds).expect(200)
        self.rates.append(answered.rate)
        self.count += len(answered.latencies)
        self.cpu += sum(self.service.process.cpu_times()[:2]) - before

    def _requests(self) -> list[bytes]:
        return [load.get(PATH, self.service.token)]


@contextmanager
def variants(folder: Path) -> Iterator[list[Variant]]:
    """Without, with figures in memory, and with figures in files as several workers have them."""
    in_files = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with servers() as own, ExitStack() as stack:

        def variant(name: str, module: str = "main:app", **settings: str) -> Variant:
            return Variant(name, stack.enter_context(application(own, USERS, module, **settings)))

        yield [
            variant("without", "benchmarks.unmeasured:app"),
            variant("in memory"),
            variant("in files", **in_files),
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
                variant.warm()
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

"""Processor time for each request, of several checkouts of the project in turn.

Usage: python -m benchmarks.compare FOLDER [FOLDER …] [--rounds 30] [--seconds 0.5]

Each folder is a checkout, such as `git worktree add` makes; the first one is compared with. All of
them need the same schema of the database. Many short rounds in changing order, so that whatever
else the machine does meets all alike.
"""

import argparse
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import load
from benchmarks.instance import Instance, application, servers
from benchmarks.report import machine

CONNECTIONS = 10
USERS = 10_000
PATHS = {
    "P2 statistics": "/api/v1/dashboard/stats",
    "P3 who-am-I": "/api/v1/users/me",
    "P4 page of 50": "/api/v1/users?size=50",
}


@dataclass
class Checkout:
    """A folder of the project, and what was measured of it.

    Attributes:
        cpu: seconds of processor time for each request, a round each, by path.
    """

    folder: Path
    service: Instance
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, path: str, seconds: float) -> None:
        requests = [load.get(path, self.service.token)]
        before = sum(self.service.process.cpu_times()[:2])
        answered = load.run(self.service.port, requests, CONNECTIONS, seconds).expect(200)
        used = sum(self.service.process.cpu_times()[:2]) - before
        self.cpu.setdefault(path, []).append(used / len(answered.latencies))


@contextmanager
def checkouts(folders: list[Path]) -> Iterator[list[Checkout]]:
    """All of them, started, on the same servers."""
    with servers() as own, ExitStack() as stack:
        yield [
            Checkout(
                folder,
                stack.enter_context(
                    application(own, USERS, folder=str(folder), CACHE_PREFIX=f"checkout:{number}")
                ),
            )
            for number, folder in enumerate(folders)
        ]


def row(checkout: Checkout, first: Checkout, path: str) -> tuple[str, ...]:
    """Medians in µs, and by how much more than the first one's, round by round."""
    samples = checkout.cpu[path]
    more = [own / other - 1 for own, other in zip(samples, first.cpu[path], strict=True)]
    low, median, high = statistics.quantiles(more, n=4)
    return (
        str(checkout.folder),
        f"{statistics.median(samples) * 1e6:.0f}",
        "" if checkout is first else f"{median:+.1%}",
        "" if checkout is first else f"{low:+.1%} to {high:+.1%}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=30, help="of each checkout, in turn")
    parser.add_argument("--seconds", type=float, default=0.5, help="that a round lasts")
    options = parser.parse_args()
    console = Console(width=120)
    console.print(machine())
    with checkouts([folder.resolve() for folder in options.folders]) as measured:
        for name, path in PATHS.items():
            for turn in range(-2, options.rounds):
                first = turn % len(measured)
                for checkout in measured[first:] + measured[:first]:
                    checkout.measure(path, options.seconds)
                    if turn < 0:  # its caches are cold
                        del checkout.cpu[path]
            table = Table("checkout", "CPU µs", "more", "quartiles", title=name)
            for checkout in measured:
                table.add_row(*row(checkout, measured[0], path))
            console.print(table)


if __name__ == "__main__":
    main()

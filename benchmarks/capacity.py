"""Processor time of a request in each process: the web process, PostgreSQL, its replica, Valkey.

Usage: python -m benchmarks.capacity [--users 10000] [--runs 5] [--seconds 2]

What others do on the machine raises these figures less than it lowers rates, and never lowers them:
the least of the runs counts. A second divided by it is the most that a core serves; docs/SCALING.md
calculates with it.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.server import EmbeddedServer
from app.embedded.valkey import EmbeddedValkey
from benchmarks import load
from benchmarks.instance import EMAIL, PASSWORD, Instance, Servers, application, fill
from tests.standby import standby_of

CONNECTIONS = 10
API = "/api/v1"


@dataclass
class Work:
    """A kind of request, and what it took.

    Attributes:
        requests: in turn.
        spent: microseconds of a request by process, a run each.
    """

    name: str
    requests: list[bytes]
    spent: dict[str, list[float]] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    options = parser.parse_args()
    table = Table("request", "web process, µs", "PostgreSQL, µs", "replica, µs", "Valkey, µs")
    with TemporaryDirectory(prefix="backend-api-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        primary = EmbeddedPostgres(place / "postgres", {"wal_keep_size": "256MB"})
        valkey = EmbeddedValkey(place / "valkey")
        with primary as postgres, valkey as redis:
            own = Servers(postgres, redis)
            name = make_url(fill(own, options.users)).database
            standby = standby_of(primary, postgres, place / "replica")
            with standby as replica:
                places = {"postgres": primary, "replica": standby, "valkey": valkey}
                url = make_url(replica).set(database=name)
                reads = {
                    "DATABASE_REPLICA_URLS": url.render_as_string(hide_password=False),
                    "CACHE_PREFIX": "bench:replica",
                }
                for title, settings in ("", {}), (", with a replica", reads):
                    with application(own, options.users, **settings) as service:
                        for work in measured(service, places, options.runs, options.seconds):
                            table.add_row(*row(work, title))
    Console(width=120).print(table)


def kinds(service: Instance) -> Iterator[Work]:
    def get(path: str) -> list[bytes]:
        return [load.get(f"{API}{path}", service.token)]

    def change(number: int) -> bytes:
        body = json.dumps({"full_name": f"Ada {number}"}).encode()
        return load.post(f"{API}/users/1", body, service.token).replace(b"POST", b"PATCH", 1)

    account = json.dumps({"email": EMAIL, "password": PASSWORD}).encode()
    yield Work("GET /users/me", get("/users/me"))
    yield Work("GET /dashboard/stats, cached", get("/dashboard/stats"))
    yield Work("GET /users, 50 of them", get("/users?is_active=true"))
    yield Work("GET /users?search=ann", get("/users?search=ann"))
    yield Work("PATCH /users/1", [change(number) for number, _ in zip(count(), range(100))])
    yield Work("POST /auth/login", [load.post(f"{API}/auth/login", account)])


def measured(
    service: Instance, servers: dict[str, EmbeddedServer], runs: int, seconds: float
) -> Iterator[Work]:
    processes = {
        name: server._process()  # noqa: SLF001  # no other name for it
        for name, server in servers.items()
    }
    processes["web"] = service.process
    for work in kinds(service):
        load.run(service.port, work.requests, CONNECTIONS, 1).expect(200)
        for _ in range(runs):
            with spent_by(processes) as spent:
                answered = load.run(service.port, work.requests, CONNECTIONS, seconds).expect(200)
            for name, used in spent.items():
                work.spent.setdefault(name, []).append(used / len(answered.latencies) * 1e6)
        yield work


@contextmanager
def spent_by(processes: dict[str, psutil.Process | None]) -> Iterator[dict[str, float]]:
    """Seconds of processor time that processes and their children take within the block."""
    before = {name: _seconds(process) for name, process in processes.items()}
    spent: dict[str, float] = {}
    yield spent
    spent |= {name: _seconds(process) - before[name] for name, process in processes.items()}


def _seconds(process: psutil.Process | None) -> float:
    assert process is not None  # noqa: S101  # it runs; for mypy
    own = process.cpu_times()
    ended = own.children_user + own.children_system
    living = [one.cpu_times() for one in process.children(recursive=True)]
    return ended + sum(one.user + one.system for one in (own, *living))


def row(work: Work, title: str) -> list[str]:
    def shown(values: list[float]) -> str:
        return f"{min(values):,.0f} … {max(values):,.0f}"

    columns = [shown(work.spent[name]) for name in ("web", "postgres", "replica", "valkey")]
    return [work.name + title, *columns]


if __name__ == "__main__":
    main()

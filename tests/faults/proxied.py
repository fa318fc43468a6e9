"""Two instances behind the Caddyfile of deploy/, with one PostgreSQL and one Redis."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
import pytest

from app.embedded.files import free_port
from app.embedded.polling import within
from app.runtime import Runtime
from tests.conftest import Person, Servers, person
from tests.launcher import accepts, launched
from tests.process import Instance, instance

CADDY = Path(sys.executable).with_name("caddy")
BEHIND_PROXY = {
    "SERVER_FORWARDED_ALLOW_IPS": "127.0.0.1",
    "SERVER_DRAIN": "3",
    "LIMITER_WRITE": "1000000/minute",
    "LIMITER_READ": "1000000/minute",
}


@dataclass
class ProxiedSite:
    """A proxy and the instances behind it, by their ports."""

    url: str
    log: Path
    servers: Servers
    place: Path
    instances: dict[int, Instance]
    stack: ExitStack

    def start(self, port: int) -> None:
        started = instance(self.servers, self.place, port, **BEHIND_PROXY)
        self.instances[port] = self.stack.enter_context(started)

    def served(self, path: str) -> Counter[int]:
        """Answers to `path` so far, by the port of the instance that gave them."""
        return Counter(
            {port: one.log.read_text().count(path) for port, one in self.instances.items()}
        )

    def failed_checks(self, port: int) -> int:
        """How often the proxy's check of an instance has failed so far."""
        failures = ("HTTP request failed", "status code out of tolerances")
        return sum(
            f"127.0.0.1:{port}" in line and any(failure in line for failure in failures)
            for line in self.log.read_text().splitlines()
        )

    def returns(self) -> int:
        """How often the proxy found an instance up again that it had marked down."""
        return self.log.read_text().count("host is up")

    def repair(self) -> None:
        """Start what has ended, and wait until the proxy uses both instances."""
        for port, one in list(self.instances.items()):
            if one.process.poll() is not None:
                self.start(port)
        path = f"/nothing/{uuid4().hex}"

        def both_serve() -> bool:
            httpx.get(self.url + path)
            return set(+self.served(path)) == set(self.instances)

        assert within(20, both_serve)


@pytest.fixture(scope="module")
def shared(servers: Servers, app: object, repository: Path) -> Iterator[ProxiedSite]:
    """The proxy and two instances, for the tests of a module."""
    with TemporaryDirectory(prefix="backend-api-") as folder, ExitStack() as stack:
        place = Path(folder)
        ports = [free_port(), free_port()]
        url = stack.enter_context(_caddy(repository, place, ports))
        site = ProxiedSite(url, place / "caddy.log", servers, place, {}, stack)
        for port in ports:
            site.start(port)
        yield site


@pytest.fixture
def site(shared: ProxiedSite) -> ProxiedSite:
    """The same, with both instances up, and known to the proxy to be."""
    shared.repair()
    return shared


@pytest.fixture
async def visitor(client: object, site: ProxiedSite) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the proxy; the database is empty, as with `client`."""
    async with httpx.AsyncClient(base_url=site.url, timeout=30) as visitor:
        yield visitor


@pytest.fixture
async def ada(visitor: httpx.AsyncClient, runtime: Runtime) -> Person:
    """A plain user, who comes through the proxy."""
    return await person(visitor, runtime, "ada")


@contextmanager
def _caddy(repository: Path, place: Path, instances: list[int]) -> Iterator[str]:
    """The project's own Caddyfile, on a free port; yields its URL.

    An instance has four seconds for an answer, so that a test need not wait for two minutes. HTTP/2
    without TLS is switched on besides, so that a test can speak it without a certificate.
    """
    port = free_port()
    told = {
        **os.environ,
        "SITE_ADDRESS": f"http://127.0.0.1:{port}",
        "API_INSTANCES": " ".join(f"127.0.0.1:{port}" for port in instances),
        "XDG_DATA_HOME": str(place),
        "XDG_CONFIG_HOME": str(place),
        "INSTANCE_TIMEOUT": "4s",
    }
    adapted = subprocess.run(
        [CADDY, "adapt", "--config", repository / "deploy" / "Caddyfile"],
        env=told,
        check=True,
        capture_output=True,
    )
    configuration = json.loads(adapted.stdout)
    for server in configuration["apps"]["http"]["servers"].values():
        server["protocols"] = ["h1", "h2c"]
    file = place / "caddy.json"
    file.write_text(json.dumps(configuration))
    run = CADDY, "run", "--config", file
    with launched(run, place / "caddy.log", partial(accepts, port), environment=told):
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def traffic(ada: Person, *, writing: bool) -> AsyncIterator[Counter[int]]:
    """Eight clients that ask one thing after another; the statuses of what they got."""
    statuses: Counter[int] = Counter()
    over = asyncio.Event()

    async def ask(number: int) -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            if writing and turn % 3 == 0:
                name = {"full_name": f"Ada {number} {turn}"}
                answer = await ada.patch("/users/me", json=name)
            else:
                answer = await ada.get("/users/me")
            statuses[answer.status_code] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(ask(number))
        yield statuses
        over.set()

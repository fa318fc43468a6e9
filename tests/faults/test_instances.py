"""R11: two instances behind the Caddyfile of deploy/, with one PostgreSQL and one Redis."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
import pytest

from app.database.embedded.files import free_port, within
from app.runtime import Runtime
from tests.conftest import Person, Servers, person
from tests.faults.observing import within as reached
from tests.process import Instance, instance

LOGIN = "/api/v1/auth/login"
BEHIND_PROXY = {
    "SERVER_FORWARDED_ALLOW_IPS": "127.0.0.1",
    "SERVER_DRAIN": "3",
    "LIMITER_WRITE": "1000000/minute",
    "LIMITER_READ": "1000000/minute",
}


@dataclass
class Site:
    """A proxy and the instances behind it, by their ports."""

    url: str
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


@contextmanager
def caddy(repository: Path, place: Path, instances: list[int]) -> Iterator[str]:
    """The project's own Caddyfile, on a free port; yields its URL."""
    port = free_port()
    told = {
        "SITE_ADDRESS": f"http://127.0.0.1:{port}",
        "API_INSTANCES": " ".join(f"127.0.0.1:{port}" for port in instances),
        "XDG_DATA_HOME": str(place),
        "XDG_CONFIG_HOME": str(place),
    }
    program = Path(sys.executable).with_name("caddy")
    configuration = repository / "deploy" / "Caddyfile"
    with (place / "caddy.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "run", "--adapter", "caddyfile", "--config", configuration],
            env={**os.environ, **told},
            stderr=log,
        )
    try:
        assert within(20, lambda: accepts(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def shared(servers: Servers, app: object, repository: Path) -> Iterator[Site]:
    with TemporaryDirectory(prefix="backend-api-") as folder, ExitStack() as stack:
        place = Path(folder)
        ports = [free_port(), free_port()]
        url = stack.enter_context(caddy(repository, place, ports))
        site = Site(url, servers, place, {}, stack)
        for port in ports:
            site.start(port)
        yield site


@pytest.fixture
def site(shared: Site) -> Site:
    """With both instances up, and known to the proxy to be."""
    for port, one in list(shared.instances.items()):
        if one.process.poll() is not None:
            shared.start(port)
    path = f"/nothing/{uuid4().hex}"

    def both_serve() -> bool:
        httpx.get(shared.url + path)
        return set(+shared.served(path)) == set(shared.instances)

    assert within(20, both_serve)
    return shared


@pytest.fixture
async def visitor(client: object, site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=site.url, timeout=30) as visitor:
        yield visitor


@pytest.fixture
async def ada(visitor: httpx.AsyncClient, runtime: Runtime) -> Person:
    """A plain user, who comes through the proxy."""
    return await person(visitor, runtime, "ada")


async def at_once(ada: Person, path: str, times: int = 20) -> list[httpx.Response]:
    """So many requests at the same time that the proxy uses both instances."""
    return await asyncio.gather(*(ada.get(path) for _ in range(times)))


async def test_logout_holds_on_both(site, ada):
    warm = await at_once(ada, "/users/me")
    await ada.post("/auth/logout")

    after = await at_once(ada, "/users/me")

    assert {answer.status_code for answer in warm} == {200}
    assert {answer.status_code for answer in after} == {401}
    assert len(+site.served("/api/v1/users/me")) == 2


async def test_a_limit_is_of_both_together(site, visitor):
    credentials = {"email": "somebody@example.com", "password": "wrong"}

    answers = await asyncio.gather(*(visitor.post(LOGIN, json=credentials) for _ in range(12)))

    assert Counter(answer.status_code for answer in answers) == {401: 5, 429: 7}
    assert len(+site.served(LOGIN)) == 2


async def test_what_one_remembers_the_other_knows_and_forgets(site, ada):
    for name in ("Ada", "Ada Lovelace", "Countess of Lovelace"):
        await ada.patch("/users/me", json={"full_name": name})

        answers = await at_once(ada, "/users/me")

        assert {answer.json()["full_name"] for answer in answers} == {name}


async def test_nobody_makes_up_an_address(site, ada):
    ada.client.headers["X-Forwarded-For"] = "198.51.100.9"
    await ada.login()

    sessions = (await ada.get("/auth/sessions")).json()

    assert {s["address"] for s in sessions if s["is_current"]} == {"127.0.0.1"}


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


async def test_when_one_is_killed_no_request_is_lost_that_can_be_asked_again(site, ada, record):
    killed, other = site.instances
    async with traffic(ada, writing=False) as statuses:
        await asyncio.sleep(0.5)
        site.instances[killed].process.send_signal(signal.SIGKILL)
        await asyncio.sleep(0.5)
        meanwhile = site.served("/api/v1/users/me")
        await asyncio.sleep(1)

    assert set(statuses) == {200}
    assert statuses[200] > 50
    assert site.served("/api/v1/users/me")[other] > meanwhile[other]
    record("R11", "one of two instances killed", f"{statuses[200]} reads, none lost")


async def test_a_rolling_restart_loses_no_request(site, ada, record):
    async with traffic(ada, writing=True) as statuses:
        await asyncio.sleep(0.5)
        for port in list(site.instances):
            code = await asyncio.to_thread(site.instances[port].stop)
            assert code in {0, -signal.SIGTERM}  # uvicorn ends by the signal that asked it to
            await asyncio.to_thread(site.start, port)
            before = site.served("/api/v1/users/me")[port]

            async def is_served_by(port: int = port, before: int = before) -> bool:
                return bool(site.served("/api/v1/users/me")[port] > before)

            assert await reached(20, is_served_by)  # the proxy has looked

    assert set(statuses) == {200}
    assert statuses[200] > 100
    record("R11", "both restarted in turn", f"{statuses[200]} reads and writes, none lost")

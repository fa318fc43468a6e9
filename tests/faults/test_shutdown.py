"""R8: SIGTERM under load."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.conftest import Person, person
from tests.polling import within_async
from tests.process import Instance, instance

DRAIN, DEADLINE = 2.0, 5.0
OWN = {"SERVER_DRAIN": str(DRAIN), "SERVER_REQUEST_TIMEOUT": str(DEADLINE)}
PATH = "/users/cursor"


@dataclass
class Clients:
    """Those of a load balancer, who send nothing more once readiness says so.

    Attributes:
        statuses: of what was answered.
        lost: what got no answer.
        noticed: when readiness said so, by the monotonic clock; 0 until then.
    """

    instance: Instance
    admin: Person
    statuses: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    noticed: float = 0.0

    async def balance(self) -> None:
        async with httpx.AsyncClient(base_url=self.instance.url) as prober:

            async def says_no() -> bool:
                return (await prober.get("/health/ready")).status_code == 503

            assert await within_async(30, says_no)
        self.noticed = time.monotonic()

    async def ask(self, *, keeps_connection: bool) -> None:
        headers = {"Authorization": f"Bearer {self.admin.tokens['access_token']}"}
        if not keeps_connection:
            headers["Connection"] = "close"
        async with httpx.AsyncClient(base_url=self.instance.url, headers=headers) as client:
            while not self.noticed:
                try:
                    answer = await client.get(f"/api/v1{PATH}")
                    self.statuses[answer.status_code] += 1
                except httpx.TransportError as error:
                    self.lost.append(repr(error))


@asynccontextmanager
async def users_locked(url: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        yield
    await connection.close()


@pytest.mark.parametrize("workers", [1, 2])
async def test_every_request_is_answered_and_it_ends_in_time(
    servers, client, runtime, tmp_path: Path, workers, record
):
    admin = await person(client, runtime, "admin", is_superuser=True)
    with instance(servers, tmp_path, None, SERVER_WORKERS=str(workers), **OWN) as served:
        clients = Clients(served, admin)
        asking = [clients.ask(keeps_connection=n % 2 == 0) for n in range(8)]
        loading = asyncio.gather(clients.balance(), *asking)
        await asyncio.sleep(1)

        served.process.send_signal(signal.SIGTERM)
        terminated = time.monotonic()
        await loading
        meanwhile = sum(clients.statuses.values())
        async with httpx.AsyncClient(base_url=served.url, timeout=20) as patient:
            admin.client = patient
            async with users_locked(servers.postgres):
                in_flight = asyncio.create_task(admin.get(PATH))
                await asyncio.sleep(terminated + DRAIN + 1 - time.monotonic())
            slow = await in_flight
        code = await asyncio.to_thread(served.process.wait, 30)
        took = time.monotonic() - terminated

    assert set(clients.statuses) == {200}
    assert clients.lost == []
    assert meanwhile > 0
    assert clients.noticed - terminated < DRAIN
    assert slow.status_code == 200
    assert took < DRAIN + DEADLINE + 5
    assert code in {0, -signal.SIGTERM}
    assert "Traceback" not in served.log.read_text()
    noticed = f"readiness said so after {clients.noticed - terminated:.2f} s"
    ended = f"ended after {took:.2f} s, the slowest request answered"
    seen = f"{meanwhile} requests, none lost; {noticed}; {ended}"
    record("R8", f"SIGTERM under load, workers: {workers}", seen)


def port_of(served: Instance) -> int:
    return int(served.url.rpartition(":")[2])


async def is_closed(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def insist(port: int, answered: list[int], *, keeps_connection: bool) -> str:
    """Ask again and again, whatever readiness says; how it ended."""
    asking = b"GET /health/live HTTP/1.1\r\nHost: test\r\n"
    asking += b"\r\n" if keeps_connection else b"Connection: close\r\n\r\n"
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except (ConnectionRefusedError, ConnectionResetError):
            return "refused"  # reset: it was on its way in, and nothing had been sent
        is_open = is_new = True
        while is_open:
            writer.write(asking)
            try:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
                await reader.readexactly(len(b'{"status":"alive"}'))
            except (OSError, EOFError, TimeoutError) as error:
                # The kernel resets what arrives between the last accept and the close.
                was_closing = isinstance(error, ConnectionResetError) and is_new
                return "refused" if was_closing and await is_closed(port) else repr(error)
            is_new = False
            answered.append(int(head.split()[1]))
            is_open = b"connection: close" not in head.lower()
        writer.close()


@pytest.mark.parametrize("workers", [1, 2])
async def test_clients_that_send_requests_until_the_port_closes_lose_none(
    servers, app, tmp_path: Path, workers, record
):
    answered: list[int] = []
    with instance(servers, tmp_path, None, SERVER_WORKERS=str(workers), **OWN) as served:
        port = port_of(served)
        insisting = [insist(port, answered, keeps_connection=n % 2 == 0) for n in range(16)]
        clients = asyncio.gather(*insisting)
        await asyncio.sleep(0.5)
        served.process.send_signal(signal.SIGTERM)
        ends = await clients
        await asyncio.to_thread(served.process.wait, 30)

    assert set(ends) == {"refused"}
    assert set(answered) == {200}
    name = f"SIGTERM, clients who know of no readiness, workers: {workers}"
    record("R8", name, f"{len(answered)} requests, none lost")


async def test_f12_sighup_is_a_stop_with_a_drain_and_sigusr1_and_2_are_ignored(
    servers, app, tmp_path: Path
):
    answered: list[int] = []
    with instance(servers, tmp_path, None, **OWN) as served:
        for ignored in (signal.SIGUSR1, signal.SIGUSR2):
            served.process.send_signal(ignored)
        clients = asyncio.create_task(insist(port_of(served), answered, keeps_connection=False))
        await asyncio.sleep(0.5)
        before = len(answered)
        served.process.send_signal(signal.SIGHUP)
        ended = await clients
        code = await asyncio.to_thread(served.process.wait, 30)

    assert before > 0
    assert len(answered) > before
    assert set(answered) == {200}
    assert ended == "refused"
    assert code == -signal.SIGTERM
    assert '"event":"draining"' in served.log.read_text()

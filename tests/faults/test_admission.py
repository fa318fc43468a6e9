"""F4, F13: more requests and connections than a process can serve, on real sockets."""

import asyncio
import json
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import text

from app.server.admission import (
    EXTRA_PROBES,
    MIN_IDLE,
    MIN_OVERLOAD,
    RATES,
    TARGET_DURATION,
    Admission,
)
from benchmarks.overload import Clients
from tests.conftest import Person, Servers, person
from tests.polling import within_async
from tests.process import SERVE, Instance, instance
from tests.wire import Answer, answer, connected, head

pytestmark = pytest.mark.alone

REQUESTS, CONNECTIONS = 4, 30
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module")
def site(servers: Servers, app: object) -> Iterator[Instance]:
    with (
        TemporaryDirectory(prefix="backend-api-") as folder,
        instance(
            servers,
            Path(folder),
            SERVER_MAX_REQUESTS=str(REQUESTS),
            SERVER_MAX_CONNECTIONS=str(CONNECTIONS),
        ) as site,
    ):
        yield site


@pytest.fixture
async def admin(client: object, site: Instance, runtime: Any) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(base_url=site.url, timeout=30) as visitor:
        admin = await person(visitor, runtime, "admin", is_superuser=True)
        await admin.get("/users/me")  # the principal is cached
        yield admin


def asking(path: str, admin: Person | None = None, *headers: str, method: str = "GET") -> bytes:
    if admin is not None:
        headers = (*headers, f"Authorization: Bearer {admin.tokens['access_token']}")
    return head(f"{method} {path}", *headers)


def refused(got: Answer) -> None:
    assert got.status == 503
    assert got.headers["retry-after"] == "1"
    assert got.headers["cache-control"] == "no-store"
    assert json.loads(got.body) == {
        "error": "service_unavailable",
        "message": "Service Unavailable",
        "details": [],
        "request_id": got.headers["x-request-id"],
    }


@asynccontextmanager
async def users_locked(servers: Servers) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(servers.direct)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            yield connection
    finally:
        await connection.close()


async def waiting(connection: asyncpg.Connection) -> int:
    """Statements that wait for a lock."""
    await connection.execute("SELECT pg_stat_clear_snapshot()")  # it is in a transaction
    count = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return int(await connection.fetchval(count))


@asynccontextmanager
async def full(site: Instance, servers: Servers, admin: Person) -> AsyncIterator[None]:
    """As many requests in progress as may be, all of which are answered in the end."""
    async with AsyncExitStack() as stack:
        async with users_locked(servers) as connection:
            held = [await stack.enter_async_context(connected(site.url)) for _ in range(REQUESTS)]
            await asyncio.sleep(0.1)  # a connection that is being opened counts as a request
            for _, writer in held:
                writer.write(asking("/api/v1/users/cursor", admin))

            async def all_wait() -> bool:
                return await waiting(connection) == REQUESTS

            assert await within_async(10, all_wait)
            yield
        statuses = [(await answer(reader)).status for reader, _ in held]
    assert statuses == [200] * REQUESTS


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (("/api/v1/users/me",), b""),
        (("/", None, "Connection: close"), b""),
        (("/api/v1/users/me", None, "Content-Length: 3"), b"abc"),
        (("/api/v1/auth/login", None, "Content-Length: 100000"), b"x" * 100_000),
    ],
    ids=["get", "close", "get with a body", "post"],
)
async def test_a_request_too_many_is_a_503_at_once(site, servers, admin, request_, body):
    method = "POST" if "login" in request_[0] else "GET"
    message = asking(*request_, method=method) + body
    async with connected(site.url) as (reader, writer):
        writer.write(asking("/health/live"))
        await answer(reader)

        async with full(site, servers, admin):
            began = time.monotonic()
            writer.write(message)
            kept = await answer(reader)
            async with connected(site.url) as (new_reader, new_writer):
                new_writer.write(message)
                new = await answer(new_reader)
            took = time.monotonic() - began

    refused(kept)
    refused(new)
    assert took < 2


async def test_as_many_clients_as_may_be_are_never_refused(site, admin):
    """Each sends its next request as soon as it has read an answer, whose task may not have
    ended."""

    async def ask_in_turn() -> set[int]:
        async with connected(site.url) as (reader, writer):
            statuses = set()
            for _ in range(100):
                writer.write(asking("/api/v1/users/me", admin))
                statuses.add((await answer(reader)).status)
            return statuses

    found = await asyncio.gather(*(ask_in_turn() for _ in range(REQUESTS)))

    assert found == [{200}] * REQUESTS


async def test_a_kept_alive_connection_works_after_its_503(site, servers, admin):
    async with connected(site.url) as (reader, writer):
        writer.write(asking("/health/live"))
        await answer(reader)
        async with full(site, servers, admin):
            for _ in range(3):
                writer.write(asking("/api/v1/users/me", admin))
                refused(await answer(reader))

        writer.write(asking("/api/v1/users/me", admin))
        got = await answer(reader)

    assert got.status == 200
    assert json.loads(got.body)["email"] == admin.email


async def test_probes_are_answered_whatever_else_is_in_progress(site, servers, admin):
    async with full(site, servers, admin), httpx.AsyncClient(base_url=site.url) as visitor:
        async with httpx.AsyncClient() as another:
            new = [(await another.get(f"{site.url}/health/live")).status_code]
        kept = [(await visitor.get(path)).status_code for path in ("/health", "/health/ready") * 3]
        metrics = await visitor.head("/health/live")

    assert set(new + kept) == {200}
    assert metrics.status_code == 200


async def test_refused_requests_are_counted(site, servers, admin):
    async def count() -> float:
        text = (await admin.get("/metrics/prometheus")).text
        lines = [line for line in text.splitlines() if 'reason="overload"' in line]
        return float(lines[0].split()[-1]) if lines else 0.0

    before = await count()
    async with full(site, servers, admin):
        for _ in range(3):
            async with connected(site.url) as (reader, writer):
                writer.write(asking("/"))
                refused(await answer(reader))

    assert await count() == before + 3


JSON = "Content-Type: application/json"
BEGUN = asking("/api/v1/auth/login", None, JSON, "Content-Length: 100", method="POST") + b"{"


async def test_slow_bodies_block_no_other_client(site, admin):
    async with AsyncExitStack() as stack:
        for _ in range(2 * REQUESTS):
            _, writer = await stack.enter_async_context(connected(site.url))
            writer.write(BEGUN)
        await asyncio.sleep(0.3)

        answers = [(await admin.get("/users/me")).status_code for _ in range(5)]

    assert answers == [200] * 5


async def test_bodies_that_never_arrive_block_no_other_client_behind_another_request_either(
    site, admin
):
    async with AsyncExitStack() as stack:
        for _ in range(REQUESTS):
            _, writer = await stack.enter_async_context(connected(site.url))
            writer.write(asking("/health/live") + BEGUN)
            await asyncio.sleep(0.1)

        answers = [(await admin.get("/users/me")).status_code for _ in range(5)]

    assert answers == [200] * 5


async def test_connections_whose_bodies_came_after_their_answers_give_way_too(site):
    early = asking("/health/live", None, "Content-Length: 1")
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            reader, writer = await stack.enter_async_context(connected(site.url))
            writer.write(early)
            await answer(reader)
            writer.write(b"x")
        await asyncio.sleep(MIN_IDLE + 0.1)

        async with connected(site.url) as (reader, writer):
            writer.write(asking("/api/v1/users/me"))
            assert (await answer(reader)).status == 401


async def test_requests_that_do_not_wait_for_their_bodies_count(site, servers, admin):
    withheld = asking("/api/v1/users/cursor", admin, "Content-Length: 1")
    async with AsyncExitStack() as stack:
        readers = []
        async with users_locked(servers) as connection:
            for _ in range(REQUESTS):
                reader, writer = await stack.enter_async_context(connected(site.url))
                await asyncio.sleep(0.05)
                writer.write(withheld)
                readers.append(reader)

            async def all_wait() -> bool:
                return await waiting(connection) == REQUESTS

            assert await within_async(10, all_wait)
            async with connected(site.url) as (reader, writer):
                writer.write(asking("/api/v1/users/me"))
                refused(await answer(reader))
        assert [(await answer(reader)).status for reader in readers] == [200] * REQUESTS


async def test_bodies_that_are_there_all_at_once_are_within_the_bound(site, servers, admin):
    body = json.dumps({"email": "nobody@example.com", "password": "no password"}).encode()
    begin = asking("/api/v1/auth/login", None, JSON, f"Content-Length: {len(body)}", method="POST")
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(connected(site.url)) for _ in range(10)]
        for _, writer in streams:
            writer.write(begin + body[:1])
        await asyncio.sleep(0.3)
        async with full(site, servers, admin):
            for _, writer in streams:
                writer.write(body[1:])
            for reader, _ in streams:
                refused(await answer(reader))


async def test_a_request_behind_a_probe_has_no_place(site, servers, admin):
    async with connected(site.url) as (reader, writer):
        await asyncio.sleep(0.1)
        async with full(site, servers, admin):
            writer.write(asking("/health/live") + asking("/api/v1/users/me", admin))
            received = await asyncio.wait_for(reader.read(), 10)

    assert received.startswith(b"HTTP/1.1 503 ")
    assert received.count(b"HTTP/1.1") == 1


async def test_a_head_request_too_many_gets_no_body(site, servers, admin):
    message = asking("/api/v1/users/me", method="HEAD")
    received = []
    async with connected(site.url) as (reader, writer):
        await asyncio.sleep(0.1)
        async with full(site, servers, admin), connected(site.url) as (new_reader, new_writer):
            writer.write(message)
            new_writer.write(message)
            received = [await reader.read(), await new_reader.read()]

    for one in received:
        assert one.startswith(b"HTTP/1.1 503 ")
        assert one.endswith(b"\r\n\r\n")
        assert one.count(b"\r\n\r\n") == 1


async def test_a_get_whose_body_comes_late_can_read_its_503(site, servers, admin):
    async with full(site, servers, admin), connected(site.url) as (reader, writer):
        writer.write(asking("/api/v1/users/me", None, "Content-Length: 3"))
        await asyncio.sleep(0.2)
        writer.write(b"abc")
        await writer.drain()
        await asyncio.sleep(0.2)
        refused(await answer(reader))


async def test_an_answer_that_a_slow_client_reads_is_not_cut_for_another_one(site, admin):
    async with AsyncExitStack() as stack:
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(10)
        stack.callback(slow.close)
        slow.connect(("127.0.0.1", int(site.url.rpartition(":")[2])))
        last = asking("/openapi.json", None, "Connection: close")
        slow.send(asking("/openapi.json") * 9 + last)
        await asyncio.sleep(MIN_IDLE + 0.5)
        for _ in range(CONNECTIONS):
            reader, writer = await stack.enter_async_context(connected(site.url))
            writer.write(asking("/"))
            await answer(reader)

        received = 0
        while part := await asyncio.to_thread(slow.recv, 1 << 20):
            received += len(part)
        whole = len((await admin.client.get(f"{site.url}/openapi.json")).content)

    assert received > 10 * whole


async def test_broken_bodies_do_not_loosen_the_bound(site, servers, admin):
    broken = asking("/health/live", None, "Transfer-Encoding: chunked", method="POST") + b"ZZ\r\n"
    async with AsyncExitStack() as stack:
        for _ in range(2 * REQUESTS):
            reader, writer = await stack.enter_async_context(connected(site.url))
            writer.write(broken)
            await answer(reader)  # and stays open
        async with full(site, servers, admin), connected(site.url) as (reader, writer):
            writer.write(asking("/api/v1/users/me"))
            refused(await answer(reader))


async def test_of_many_requests_on_a_connection_that_reads_nothing_one_is_answered(
    site, servers, admin
):
    async with connected(site.url) as (reader, writer):
        writer.write(asking("/health/live"))
        await answer(reader)
        async with full(site, servers, admin):
            writer.write(asking("/api/v1/users/me") * 2000)
            received = await asyncio.wait_for(reader.read(), 10)

    assert 1 <= received.count(b"HTTP/1.1 503 ") <= 2
    assert len(received) < 2000


async def test_an_upgrade_too_many_is_a_503_and_no_error(site, servers, admin):
    upgrade = "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"
    since = len(site.log.read_text())
    async with connected(site.url) as (reader, writer):  # accepted while there is room
        await asyncio.sleep(0.1)
        async with full(site, servers, admin):
            writer.write(asking("/", None, *upgrade))
            refused(await answer(reader))

    assert "Fatal error" not in site.log.read_text()[since:]


async def test_the_longest_silent_connection_gives_way_to_a_new_one(site, admin):
    async def visit(stack: AsyncExitStack) -> Stream:
        reader, writer = await stack.enter_async_context(connected(site.url))
        writer.write(asking("/"))
        await answer(reader)
        return reader, writer

    await asyncio.sleep(MIN_IDLE + 0.1)
    async with AsyncExitStack() as stack:
        first = [await visit(stack) for _ in range(CONNECTIONS - 1)]
        await asyncio.sleep(MIN_IDLE + 0.1)
        await visit(stack)
        await visit(stack)
        ends = [asyncio.create_task(reader.read()) for reader, _ in first]
        ended, still_open = await asyncio.wait(ends, timeout=0.5)
        for end in still_open:
            end.cancel()

    assert ended
    assert ended == set(ends[: len(ended)])  # the oldest ones


async def test_work_for_a_disconnected_client_ends(site, servers, admin):
    since = len(site.log.read_text())
    async with users_locked(servers) as connection:
        for _ in range(3):
            async with connected(site.url) as (_, writer):
                writer.write(asking("/api/v1/users/cursor", admin, "X-Request-ID: leaves"))
                assert await within_async(10, lambda: has_waiting(connection))

        async def none_waits() -> bool:
            return await waiting(connection) == 0

        assert await within_async(5, none_waits)

    def lines() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in site.log.read_text()[since:].splitlines()]
        return [
            line
            for line in found
            if line.get("request_id") == "leaves" and line["event"] == "request"
        ]

    def are_logged() -> bool:
        return len(lines()) >= 3

    assert await within_async(5, are_logged)
    assert {(line["event"], line["status"], line["level"]) for line in lines()} == {
        ("request", 499, "info")
    }


async def test_a_client_who_disconnects_costs_no_connection_to_the_database(site, servers, admin):
    connection = await asyncpg.connect(servers.direct)

    async def sessions() -> int:
        await asyncio.sleep(1.5)  # statistics are written once a second
        query = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
        return int(await connection.fetchval(query))

    before = await sessions()
    for n in range(40):
        async with connected(site.url) as (_, writer):
            writer.write(asking("/api/v1/users?search=ab", admin))
            await writer.drain()
            await asyncio.sleep(n / 4000)
    opened = await sessions() - before
    await connection.close()

    assert opened <= 2


async def has_waiting(connection: asyncpg.Connection) -> bool:
    return await waiting(connection) > 0


async def test_a_change_whose_client_disconnected_is_made_whole_or_not_at_all(site, admin, runtime):
    """The user is read anew wherever the change was committed."""
    body = b'{"full_name": "Number %03d"}'
    for n in range(30):
        async with connected(site.url) as (_, writer):
            change = asking(
                "/api/v1/users/me",
                admin,
                "Content-Type: application/json",
                f"Content-Length: {len(body % n)}",
                method="PATCH",
            )
            writer.write(change + body % n)
            await writer.drain()
            await asyncio.sleep(n / 3000)  # at all moments of it

        shown = (await admin.get("/users/me")).json()["full_name"]
        await asyncio.sleep(0.3)
        async with runtime.session_maker() as db:
            query = text("SELECT full_name FROM users WHERE id = :id")
            stored = await db.scalar(query, {"id": admin.id})
        assert (await admin.get("/users/me")).json()["full_name"] == stored, shown


async def test_with_256_descriptors_and_500_clients_every_probe_is_answered(
    servers, client, tmp_path: Path
):
    command = "prlimit", "--nofile=256:256", *SERVE
    with instance(servers, tmp_path, command=command, LOG_LEVEL="ERROR") as site:
        over = threading.Event()
        clients = Clients(site.port, asking("/api/v1/users/me"))

        def crowd() -> None:
            while not over.is_set():
                clients.come(500 - clients.count)
                clients.serve(0.05)
            while clients.count:
                clients.serve(0.05)

        crowding = asyncio.create_task(asyncio.to_thread(crowd))
        await asyncio.sleep(0.5)
        probes = []
        for _ in range(50):
            async with httpx.AsyncClient(timeout=10) as prober:
                probes.append((await prober.get(f"{site.url}/health/live")).status_code)
        over.set()
        await crowding

        assert probes == [200] * 50
        assert clients.outcomes["401"] > 0
        assert set(+clients.outcomes) <= {"401", "503", "reset", "left"}
        assert "Traceback" not in site.log.read_text()


async def test_a_connection_without_a_place_is_refused_and_not_reset_while_the_process_stops(
    servers, client, runtime, tmp_path: Path
):
    with instance(servers, tmp_path, SERVER_MAX_REQUESTS="1", SERVER_DRAIN="1") as site:
        async with httpx.AsyncClient(base_url=site.url, timeout=30) as visitor:
            admin = await person(visitor, runtime, "boss", is_superuser=True)
        async with connected(site.url) as (reader, writer):
            async with users_locked(servers) as connection:
                writer.write(asking("/api/v1/users/cursor", admin))
                assert await within_async(10, lambda: has_waiting(connection))
                async with connected(site.url) as (new_reader, new_writer):
                    site.process.terminate()
                    await asyncio.sleep(0.7)  # the door is closed
                    new_writer.write(asking("/"))
                    refused(await answer(new_reader))
            assert (await answer(reader)).status == 200
        await asyncio.to_thread(site.process.wait, 20)

    assert site.process.returncode in {0, -signal.SIGTERM}


def admission(in_progress: int) -> Admission:
    found = Admission(200, 1000, 4096)
    found.watch(range(in_progress))
    return found


def test_a_process_that_falls_behind_admits_what_it_answers_in_a_second():
    behind = admission(150)
    for rate in (0, 80, 100, 90):
        behind.adapt(rate, lag=0.05)
    was_full = behind.is_full
    behind.adapt(rate=10, lag=0.05)

    assert not was_full  # many may arrive at once, and a machine may stand still for a moment
    assert behind.is_full
    behind.watch(range(int(100 * TARGET_DURATION) - 1))
    assert not behind.is_full


def test_a_process_that_waits_for_others_does_not():
    waits = admission(150)
    for _ in range(RATES):
        waits.adapt(rate=1, lag=0.001)

    assert not waits.is_full


def test_a_few_requests_are_always_admitted_and_end_it():
    behind = admission(150)
    for _ in range(RATES):
        behind.adapt(rate=0, lag=1)
    is_behind = behind.is_full
    behind.watch(range(MIN_OVERLOAD - 1))
    admits_few = not behind.is_full

    behind.adapt(rate=0, lag=1)
    behind.watch(range(150))

    assert is_behind
    assert admits_few
    assert not behind.is_full


def test_probes_have_places_of_their_own_and_no_more():
    busy = admission(200)

    admitted = []
    for _ in range(EXTRA_PROBES + 1):
        admitted.append(busy.admits_connection(0, is_probe=True))
        busy.probes += 1

    assert admitted == [True] * EXTRA_PROBES + [False]
    assert not busy.admits_connection(0)


def test_connections_of_probes_have_a_bound_too():
    crowded = admission(0)

    crowded.watch((), range(crowded.max_connections))
    admits = crowded.admits_connection(0), crowded.admits_connection(0, is_probe=True)
    crowded.watch((), range(crowded.max_connections + crowded.max_spare))

    assert admits == (False, True)
    assert not crowded.admits_connection(0, is_probe=True)

"""Several processes that start, work and end beside each other: workers, and whole instances."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.database import close_engine, get_engine
from app.database.schema_state import current_revision, head_revision
from app.embedded.polling import within
from tests.conftest import Servers, person
from tests.databases import new_database
from tests.process import Instance, instance, workers


@pytest.fixture(scope="module")
def pair(
    servers: Servers, app: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Instance]:
    """One instance of two web processes."""
    with instance(servers, tmp_path_factory.mktemp("workers"), SERVER_WORKERS="2") as pair:
        assert within(30, lambda: len(workers(pair)) == 2)
        yield pair


async def answering(pair: Instance, client: httpx.AsyncClient) -> int:
    """The process at the other end of the client's one connection."""
    response = await client.get("/health/live")
    _, port = response.extensions["network_stream"].get_extra_info("client_addr")
    (pid,) = (
        worker.pid
        for worker in workers(pair)
        for connection in worker.net_connections("tcp")
        if getattr(connection.raddr, "port", None) == port
    )
    return pid


@pytest.fixture
async def ends(client: object, pair: Instance) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Two clients, each with a connection to another worker, which it keeps."""
    async with AsyncExitStack() as stack:
        found: dict[int, httpx.AsyncClient] = {}
        for _ in range(20):
            many = [httpx.AsyncClient(base_url=pair.url, timeout=60) for _ in range(20)]
            for visitor in many:
                await stack.enter_async_context(visitor)
            pids = await asyncio.gather(*(answering(pair, visitor) for visitor in many))
            found |= zip(pids, many, strict=True)
            if len(found) == 2:
                break
        assert len(found) == 2
        yield list(found.values())
        assert [await answering(pair, visitor) for visitor in found.values()] == list(found)


async def test_both_workers_answer_and_know_of_each_others_logins_and_logouts(ends, runtime):
    first, second = ends
    ada = await person(first, runtime, "ada")
    before = [(await replace(ada, client=end).get("/users/me")).status_code for end in ends]

    await replace(ada, client=second).post("/auth/logout")

    after = [(await replace(ada, client=end).get("/users/me")).status_code for end in ends]
    assert before == [200, 200]
    assert after == [401, 401]


async def test_workers_count_the_same_logins(ends):
    wrong = {"email": "somebody@example.com", "password": "wrong"}

    answers = [await end.post("/api/v1/auth/login", json=wrong) for end in ends * 3]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 401, 429]


async def test_a_worker_that_is_killed_is_replaced_while_the_other_serves(client, pair):
    before = {worker.pid for worker in workers(pair)}
    workers(pair)[0].send_signal(signal.SIGKILL)

    async with httpx.AsyncClient(base_url=pair.url, timeout=30) as visitor:
        statuses = [(await visitor.get("/health/ready")).status_code for _ in range(20)]

    assert set(statuses) == {200}
    assert within(30, lambda: len({worker.pid for worker in workers(pair)} - before) == 1)


@pytest.fixture
async def empty(servers: Servers) -> AsyncIterator[str]:
    """A database that nobody has migrated."""
    async with new_database(servers.direct) as url:
        yield url


async def test_of_three_instances_that_start_at_once_one_migrates(
    servers, settings, empty, tmp_path: Path
):
    told = {"DATABASE_URL": empty, "DATABASE_POOLER": "none"}

    with ExitStack() as stack:
        starting = [
            asyncio.to_thread(stack.enter_context, instance(servers, tmp_path, **told))
            for _ in range(3)
        ]
        started = await asyncio.gather(*starting)
        logs = "".join(one.log.read_text() for one in started)

    assert logs.count('"event":"migrated"') == 1
    assert logs.count("First superuser, shown once") == 1
    engine = get_engine(settings.replaced(database={"url": SecretStr(empty)}).database.direct())
    assert await current_revision(engine) == head_revision()
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM users")) == 1
    await close_engine(engine)

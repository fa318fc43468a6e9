"""Several processes that start, work and end beside each other: workers, and whole instances."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text

from app.core.config import DatabaseSettings, Settings
from app.database import close_engine, get_engine
from app.database.embedded.files import within
from app.database.migrations import current_revision, head_revision
from app.runtime import Runtime
from tests.conftest import Person, Servers, person
from tests.process import Instance, instance


@pytest.fixture(scope="module")
def pair(
    servers: Servers, app: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Instance]:
    """One instance of two worker processes."""
    with instance(servers, tmp_path_factory.mktemp("workers"), SERVER_WORKERS="2") as pair:
        assert within(30, lambda: len(workers(pair)) == 2)
        yield pair


def workers(pair: Instance) -> list[psutil.Process]:
    """Its worker processes that live."""
    found = []
    for child in psutil.Process(pair.process.pid).children():
        with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):  # killed just now
            if "--multiprocessing-fork" in child.cmdline():
                found.append(child)
    return found


@asynccontextmanager
async def only(pair: Instance, number: int) -> AsyncIterator[httpx.AsyncClient]:
    """A client whom one worker alone can answer: the other does not get to run."""
    other = workers(pair)[1 - number]
    other.suspend()
    try:
        async with httpx.AsyncClient(base_url=pair.url, timeout=5) as client:
            yield client
    finally:
        other.resume()


@pytest.fixture
async def ada(client: object, pair: Instance, runtime: Runtime) -> Person:
    """A plain user, logged in at the second worker."""
    async with only(pair, 1) as visitor:
        return await person(visitor, runtime, "ada")


async def test_both_workers_answer_and_know_of_each_others_logins_and_logouts(pair, ada):
    async with only(pair, 0) as first:
        ada.client = first
        before = await ada.get("/users/me")
        await ada.post("/auth/logout")
    async with only(pair, 1) as second:
        ada.client = second
        after = await ada.get("/users/me")

    assert before.status_code == 200
    assert after.status_code == 401


async def test_workers_count_the_same_logins(client, pair):
    statuses = []
    for number in (0, 1, 0, 1, 0, 1):
        async with only(pair, number) as worker:
            wrong = {"email": "somebody@example.com", "password": "wrong"}
            statuses.append((await worker.post("/api/v1/auth/login", json=wrong)).status_code)

    assert statuses == [401, 401, 401, 401, 401, 429]


async def test_a_worker_that_is_killed_is_replaced_while_the_other_serves(client, pair):
    before = {worker.pid for worker in workers(pair)}
    workers(pair)[0].send_signal(signal.SIGKILL)

    async with httpx.AsyncClient(base_url=pair.url, timeout=30) as visitor:
        statuses = [(await visitor.get("/health/ready")).status_code for _ in range(20)]

    assert set(statuses) == {200}
    assert within(30, lambda: len({worker.pid for worker in workers(pair)} - before) == 1)


@pytest.fixture
async def empty(servers: Servers, settings: Settings) -> AsyncIterator[DatabaseSettings]:
    """A database that nobody has migrated."""
    name = f"empty_{uuid4().hex}"
    url = make_url(servers.direct).set(database=name).render_as_string(hide_password=False)
    database = {"url": SecretStr(servers.direct), "pooler": "none"}
    admin = get_engine(settings.replaced(database=database).database, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    yield settings.replaced(database=database | {"url": SecretStr(url)}).database
    async with admin.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await close_engine(admin)


async def test_of_three_instances_that_start_at_once_one_migrates(servers, empty, tmp_path: Path):
    told = {"DATABASE_URL": empty.url.get_secret_value(), "DATABASE_POOLER": "none"}

    with ExitStack() as stack:
        starting = [
            asyncio.to_thread(stack.enter_context, instance(servers, tmp_path, **told))
            for _ in range(3)
        ]
        started = await asyncio.gather(*starting)
        logs = "".join(one.log.read_text() for one in started)

    assert logs.count('"event": "migrated"') == 1
    assert logs.count("First superuser, shown once") == 1
    engine = get_engine(empty)
    assert await current_revision(engine) == head_revision()
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM users")) == 1
    await close_engine(engine)

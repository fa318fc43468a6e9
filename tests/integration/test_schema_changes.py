"""C8: statements that were prepared before a column got another type."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import Settings
from app.database import Reads
from app.database.migrations import migrate
from tests.conftest import PASSWORD, Person, Servers, browsing, person, running
from tests.databases import engine_of, new_database

pytestmark = pytest.mark.direct

NAME = text("SELECT full_name FROM users")
OTHER = text("SELECT id FROM sessions")
CREATE = text(
    "INSERT INTO users (email, username, hashed_password) VALUES (:name, :name, '') "
    "RETURNING full_name"
)


@pytest.fixture
async def own(servers: Servers, settings: Settings) -> AsyncIterator[Settings]:
    """A migrated database, whose columns may change."""
    async with new_database(servers.direct) as url:
        told = settings.replaced(database={"url": SecretStr(url)})
        async with engine_of(told.database) as engine:
            await migrate(engine)
        yield told


@pytest.fixture
async def engine(own: Settings) -> AsyncIterator[AsyncEngine]:
    """With one connection, so that each statement meets what was prepared."""
    async with engine_of(own.database, pool_size=1, max_overflow=0) as engine:
        yield engine


@asynccontextmanager
async def past(own: Settings) -> AsyncIterator[asyncpg.Connection]:
    assert own.database.url is not None
    connection = await asyncpg.connect(own.database.url.get_secret_value())
    yield connection
    await connection.close()


async def widen(own: Settings, length: int = 300) -> None:
    """Give `full_name` another type, as a migration elsewhere does."""
    async with past(own) as connection:
        await connection.execute(f"ALTER TABLE users ALTER full_name TYPE varchar({length})")


async def test_c8_a_read_is_prepared_anew(own, engine):
    reads = Reads(engine, own.database)
    await reads.rows(NAME)
    await widen(own)

    assert await reads.rows(NAME) == []


async def test_c8_a_read_between_two_changes_is_prepared_once_more(own, engine, monkeypatch):
    reads = Reads(engine, own.database)
    await reads.rows(NAME)
    await widen(own)
    prepare, lengths = asyncpg.Connection.prepare, iter([250])

    async def and_change(*arguments: Any, **options: Any) -> Any:
        prepared = await prepare(*arguments, **options)
        for length in lengths:
            await widen(own, length)
        return prepared

    monkeypatch.setattr(asyncpg.Connection, "prepare", and_change)

    assert await reads.rows(NAME) == []


async def test_c8_the_first_statement_of_a_transaction_is_run_anew_and_once(own, engine):
    async with engine.begin() as connection:
        await connection.execute(CREATE, {"name": "ada"})
    await widen(own)

    async with engine.begin() as connection:
        await connection.execute(CREATE, {"name": "bob"})

    async with engine.connect() as connection:
        names = await connection.scalars(text("SELECT username FROM users ORDER BY id"))
        assert names.all() == ["ada", "bob"]


@pytest.mark.parametrize("when", ["before", "within"])
async def test_c8_a_later_statement_fails_neither(own, engine, when):
    async with engine.begin() as connection:
        await connection.execute(CREATE, {"name": "ada"})
    if when == "before":
        await widen(own)

    async with engine.begin() as connection:
        await connection.execute(OTHER)
        if when == "within":
            await widen(own)
        await connection.execute(CREATE, {"name": "bob"})

    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM users")) == 2


async def test_c8_a_stream_begins_anew(own, engine):
    for length in 201, 202:
        async with engine.connect() as connection:
            rows = await connection.stream(NAME)
            assert await rows.all() == []
        await widen(own, length)


CHANGES = [
    "ALTER TABLE users ALTER full_name TYPE varchar(300)",
    "ALTER TABLE users ADD COLUMN nickname text",
    "ALTER TABLE users ALTER full_name TYPE varchar(200)",
    "ALTER TABLE sessions ALTER user_agent TYPE varchar(300)",
    "ALTER TABLE users ALTER email TYPE varchar(300), ALTER username TYPE varchar(64)",
    "ALTER TABLE users DROP COLUMN nickname",
    "ALTER TABLE sessions ALTER user_agent TYPE varchar(255)",
    "ALTER TABLE users ALTER email TYPE varchar(254), ALTER username TYPE varchar(32)",
]

Visit = Callable[[Person, Person], Coroutine[Any, Any, "list[int]"]]


async def reads(ada: Person, root: Person) -> list[int]:
    """Without the cache who-am-I asks the database each time."""
    answers = [
        await ada.get("/users/me"),
        await ada.get("/auth/sessions"),
        await root.get("/users", params={"search": "ada"}),
        await root.get("/users/cursor"),
        await root.get(f"/users/{ada.id}"),
        await root.get("/users/export", params={"format": "csv"}),
    ]
    return [answer.status_code for answer in answers]


async def writes(ada: Person, root: Person) -> list[int]:
    name = uuid4().hex
    account = {"email": f"{name}@example.com", "password": PASSWORD}
    user = await ada.client.post("/api/v1/users", json=account)
    login = await ada.client.post("/api/v1/auth/login", json=account)
    token = {"refresh_token": login.json()["refresh_token"]}
    path = f"/users/{user.json()['id']}"
    answers = [
        user,
        login,
        await ada.patch("/users/me", json={"full_name": name}),
        await root.patch(path, json={"is_active": False}),
        await root.delete(path),
        await ada.client.post("/api/v1/auth/refresh", json=token),  # of a user who is gone
        await root.post("/users/bulk", json=[{**account, "email": f"b{name}@example.com"}]),
    ]
    return [answer.status_code for answer in answers]


async def test_c8_no_request_fails_while_columns_change_under_load(own):
    told = own.replaced(cache={"enabled": False}, limiter={"enabled": False})
    seen: list[list[int]] = []
    over = asyncio.Event()
    async with running(told) as app, browsing(app) as client:
        runtime = app.state.runtime
        root = await person(client, runtime, "root", is_superuser=True)
        people = [await person(client, runtime, f"ada{number}") for number in range(8)]

        async def visits(ada: Person, visit: Visit) -> None:
            while not over.is_set():
                seen.append(await visit(ada, root))

        visiting = [
            asyncio.create_task(visits(ada, (reads, writes)[number % 2]))
            for number, ada in enumerate(people)
        ]
        async with past(own) as connection:
            for change in CHANGES * 2:
                await asyncio.sleep(0.4)
                await connection.execute(change)
        await asyncio.sleep(0.4)
        over.set()
        await asyncio.gather(*visiting)

    assert {tuple(statuses) for statuses in seen} == {
        (200, 200, 200, 200, 200, 200),
        (201, 200, 200, 200, 204, 401, 201),
    }

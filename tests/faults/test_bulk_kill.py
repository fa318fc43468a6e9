"""R7: a worker killed in the middle of a list of 500 leaves all of them or none, and the same
request sent again makes it all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.conftest import PASSWORD, Person, Servers
from tests.polling import within_async
from tests.process import Instance, instance

COUNT = 500
HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$MTIzNDU2NzgxMjM0NTY3OA$"
    "PDQKr8dEbVH7gKW6zOcmc1lVcV0kbBwN0Qg2DvCLCvc"
)
# A commit that takes its time, as on a disk that is busy.
SLOW_COMMIT = """
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON kept_answers
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle();
"""


@pytest.fixture
async def database(servers: Servers, client) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(servers.postgres)
    yield connection
    await connection.close()


async def count(database: asyncpg.Connection) -> int:
    found: int = await database.fetchval("SELECT count(*) FROM users WHERE email LIKE 'person%'")
    return found


def rows(**secret: str) -> list[dict[str, str]]:
    secret = secret or {"hashed_password": HASH}
    return [{"email": f"person{n}@example.com", **secret} for n in range(COUNT)]


async def send(to: Instance, root: Person, body: list[dict[str, str]]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {root.tokens['access_token']}", "Idempotency-Key": "once"}
    async with httpx.AsyncClient(base_url=to.url, timeout=60) as client:
        return await client.post("/api/v1/users/bulk", json=body, headers=headers)


async def is_at(database: asyncpg.Connection, statement: str, waits_for: str) -> bool:
    """Whether the service runs such a statement, and waits at it for such a thing."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'backend-api'"
        " AND query ILIKE $1 AND wait_event_type = $2"
    )
    return bool(await database.fetchval(query, f"{statement}%", waits_for))


async def is_over(database: asyncpg.Connection) -> bool:
    """Whether the database has done with all that the killed one has asked for."""
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'backend-api' AND xact_start IS NOT NULL"
    )
    return not await database.fetchval(query)


@asynccontextmanager
async def locked(servers: Servers, table: str) -> AsyncIterator[None]:
    """Have whoever writes into `table` wait."""
    connection = await asyncpg.connect(servers.postgres)
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield
    await connection.close()


async def killed_after(
    serving: Instance, root: Person, body: list[dict[str, str]], moment
) -> BaseException | httpx.Response:
    """Send the list, wait for the moment, and kill; what the sender got."""
    sending = asyncio.create_task(send(serving, root, body))
    await moment()
    serving.process.kill()
    serving.process.wait()
    (got,) = await asyncio.gather(sending, return_exceptions=True)
    return got


async def made_good(servers: Servers, folder: Path, root: Person, database, body) -> httpx.Response:
    """What the same request is answered by the next process."""
    assert await within_async(10, lambda: is_over(database))
    with instance(servers, folder) as next_one:
        return await send(next_one, root, body)


async def test_killed_while_it_hashes_no_user_is_created(servers, root, database, tmp_path, record):
    body = rows(password=PASSWORD)
    with instance(servers, tmp_path) as serving:
        got = await killed_after(serving, root, body, lambda: asyncio.sleep(0.5))

    assert isinstance(got, httpx.TransportError)
    assert await within_async(10, lambda: is_over(database))
    assert await count(database) == 0
    record("R7", "killed while hashing 500", "0 rows")


@pytest.mark.parametrize(
    ("table", "statement"), [("users", "INSERT INTO users"), ("kept_answers", "INSERT INTO kept")]
)
async def test_killed_before_it_commits_no_user_is_created(
    servers, root, database, tmp_path, record, table, statement
):
    with instance(servers, tmp_path) as serving:
        async with locked(servers, table):

            async def moment() -> None:
                assert await within_async(20, lambda: is_at(database, statement, "Lock"))

            got = await killed_after(serving, root, rows(), moment)
        assert await within_async(10, lambda: is_over(database))
        left = await count(database)
    again = await made_good(servers, tmp_path, root, database, rows())

    assert isinstance(got, httpx.TransportError)
    assert left == 0
    assert again.status_code == 201
    assert "idempotency-replayed" not in again.headers
    assert await count(database) == COUNT
    record("R7", f"killed at its insert into {table}", "0 rows; sent again: 201, 500 rows")


async def test_killed_while_it_commits_the_next_attempt_finds_all_users(
    servers, root, database, tmp_path, record
):
    await database.execute(SLOW_COMMIT)
    try:
        with instance(servers, tmp_path) as serving:

            async def moment() -> None:
                assert await within_async(20, lambda: is_at(database, "COMMIT", "Timeout"))

            got = await killed_after(serving, root, rows(), moment)
            assert await within_async(10, lambda: is_over(database))
            left = await count(database)
    finally:
        await database.execute("DROP FUNCTION dawdle CASCADE")
    again = await made_good(servers, tmp_path, root, database, rows())

    assert isinstance(got, httpx.TransportError)
    assert left == COUNT
    assert again.status_code == 201
    assert again.headers["idempotency-replayed"] == "true"
    assert len(again.json()) == await count(database) == COUNT
    record("R7", "killed while it commits", "500 rows; sent again: the first answer")


@pytest.mark.parametrize("delay", [0.1, 0.3, 0.5])
async def test_killed_at_any_moment_all_users_are_created_or_none(
    servers, root, database, tmp_path, record, delay
):
    with instance(servers, tmp_path) as serving:
        await killed_after(serving, root, rows(), lambda: asyncio.sleep(delay))
        assert await within_async(10, lambda: is_over(database))
        left = await count(database)
    again = await made_good(servers, tmp_path, root, database, rows())

    assert left in {0, COUNT}
    assert again.status_code == 201
    assert ("idempotency-replayed" in again.headers) == (left == COUNT)
    assert await count(database) == COUNT
    record("R7", f"killed {delay * 1000:.0f} ms after the list was sent", f"{left} rows")

"""What each of the database's refusals means to the caller."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import Settings
from app.database import get_engine, translate
from app.database.migrations import migrate
from tests.conftest import PASSWORD, Servers, browsing, person, running
from tests.databases import engine_of, new_database

OFF = {"enabled": False}

MEANINGS = {
    "08000": 503,  # connection exception
    "08006": 503,  # connection failure
    "0A000": 500,  # feature not supported
    "22001": 422,  # string too long
    "22003": 503,  # numeric value out of range: the next id, asyncpg checks what is sent
    "22012": 500,  # division by zero
    "2200H": 503,  # sequence used up
    "22021": 422,  # character not in repertoire
    "22025": 422,  # invalid escape sequence
    "22032": 422,  # invalid JSON
    "22P02": 422,  # invalid text representation
    "22P03": 500,  # invalid binary representation: the driver's
    "22P05": 422,  # untranslatable character
    "23001": 409,  # restrict violation
    "23502": 500,  # not null violation: the schemas should have refused it
    "23503": 409,  # foreign key violation: what it refers to was deleted meanwhile
    "23505": 409,  # unique violation
    "23514": 500,  # check violation: the schemas should have refused it
    "23P01": 409,  # exclusion violation
    "25006": 503,  # read-only: a standby
    "25P02": 500,  # in a failed transaction
    "25P03": 503,  # idle in transaction for too long
    "25P04": 503,  # transaction timeout
    "28P01": 503,  # invalid password: it is being changed
    "40001": 503,  # serialization failure
    "40003": 503,  # statement completion unknown
    "40P01": 503,  # deadlock
    "42P01": 500,  # undefined table: not migrated
    "53100": 503,  # disk full
    "53200": 503,  # out of memory
    "53300": 503,  # too many connections
    "54000": 500,  # program limit exceeded
    "55000": 503,  # not in the state for it: connections are not allowed
    "55006": 503,  # in use
    "55P03": 503,  # lock not available
    "57014": 504,  # statement timeout
    "57P01": 503,  # admin shutdown
    "57P02": 503,  # crash shutdown
    "57P03": 503,  # cannot connect now
    "57P04": 503,  # database dropped
    "58030": 503,  # input or output error
    "58P01": 503,  # a file of the server's is missing
    "F0000": 503,  # configuration file error
    "P0001": 500,  # raised by a function
    "XX000": 500,  # internal error
    "XX001": 500,  # data corrupted
}
LOST = "08000", "08006", "25006", "57P01", "57P02"


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """One whose pool holds two connections."""
    engine = get_engine(settings.database)
    async with engine.connect(), engine.connect():
        pass
    yield engine
    await engine.dispose()


async def fail(engine: AsyncEngine, state: str) -> DBAPIError:
    """Have the server raise an error of this SQLSTATE."""
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text(raising))
    return caught.value


async def backends(engine: AsyncEngine) -> list[int]:
    """Those behind the pool's two connections."""
    asking = text("SELECT pg_backend_pid()")
    async with engine.connect() as one, engine.connect() as other:
        return sorted([await one.scalar(asking), await other.scalar(asking)])


@pytest.mark.parametrize(("state", "status"), MEANINGS.items())
async def test_each_sqlstate_has_a_status(engine, state, status):
    error = await fail(engine, state)

    assert translate(error).status == status


@pytest.mark.parametrize("state", [state for state, status in MEANINGS.items() if status >= 503])
async def test_temporary_errors_have_retry_after(engine, state):
    refusal = translate(await fail(engine, state))

    assert ("Retry-After" in refusal.headers) == (refusal.status == 503)


@pytest.mark.direct
@pytest.mark.parametrize("state", LOST)
async def test_after_a_lost_connection_none_as_old_is_used_again(engine, state):
    before = await backends(engine)

    await fail(engine, state)

    assert set(before).isdisjoint(await backends(engine))


@pytest.mark.direct
async def test_while_every_write_fails_the_pool_is_not_disposed_of_each_time(engine):
    await fail(engine, "25006")
    before = await backends(engine)

    await fail(engine, "25006")

    assert len(set(before) & set(await backends(engine))) == 1


@pytest.mark.direct
async def test_any_other_error_leaves_the_connections_as_they_are(engine):
    before = await backends(engine)

    await fail(engine, "40001")

    assert await backends(engine) == before


@pytest.fixture
async def own(servers: Servers, settings: Settings) -> AsyncIterator[Settings]:
    """A migrated database of its own."""
    async with new_database(servers.direct) as url:
        own = settings.replaced(
            database={"url": SecretStr(url), "pooler": "none"}, cache=OFF, limiter=OFF
        )
        async with engine_of(own.database) as engine:
            await migrate(engine)
        yield own


SPENT = {
    "sequence": "ALTER SEQUENCE users_id_seq MAXVALUE 2000; SELECT setval('users_id_seq', 2000)",
    "type": "ALTER TABLE users ALTER id TYPE integer; SELECT setval('users_id_seq', 2147483647)",
}


@pytest.mark.parametrize("spent", SPENT.values(), ids=SPENT)
async def test_f14_where_no_id_is_left_a_sign_up_is_a_503_and_logged(own, capsys, spent):
    """F14: it was a 422 that no log had."""
    account = {"email": "ada@example.com", "password": PASSWORD}
    async with running(own) as app, browsing(app) as client:
        root = await person(client, app.state.runtime, "root", is_superuser=True)
        await past(own, *spent.split(";"))
        answer = await client.post("/api/v1/users", json=account)
        bulk = await root.post("/users/bulk", json=[account])

    assert (answer.status_code, bulk.status_code) == (503, 503)
    assert answer.json()["error"] == "service_unavailable"
    logged = refusals(capsys)
    assert len(logged) == 2
    assert all("users_id_seq" in line or "out of range" in line for line in logged)


async def test_f14_a_database_that_allows_no_connections_is_a_503_and_logged(own, capsys, servers):
    """F14: it was a 500."""
    name = str(own.database.address().database)
    async with running(own) as app, browsing(app) as client:
        await app.state.runtime.engine.dispose()
        await run(servers.direct, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        login = {"email": "ada@example.com", "password": PASSWORD}
        answer = await client.post("/api/v1/auth/login", json=login)
        await run(servers.direct, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        mended = await client.post("/api/v1/auth/login", json=login)

    assert (answer.status_code, mended.status_code) == (503, 401)
    assert answer.headers["retry-after"]
    (line,) = refusals(capsys)
    assert "not currently accepting connections" in line


def refusals(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the application logged about the requests that it could not serve."""
    output = capsys.readouterr().out.splitlines()
    return [line for line in output if "service_unavailable" in line]


async def run(url: str, *statements: str) -> None:
    """Past the application."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def past(own: Settings, *statements: str) -> None:
    assert own.database.url is not None
    await run(own.database.url.get_secret_value(), *statements)


@pytest.mark.direct
@pytest.mark.parametrize(("pooler", "is_replaced"), [("none", True), ("session", False)])
async def test_f8_an_idle_connection_whose_server_reports_to_be_read_only_is_replaced(
    settings, pooler, is_replaced
):
    """Not behind a pooler, which may repeat what a server reported long ago."""
    database = settings.database.model_copy(update={"pooler": pooler})
    asking = text("SELECT pg_backend_pid()")
    async with engine_of(database, pool_size=1, max_overflow=0) as engine:
        async with engine.connect() as connection:
            await connection.execute(text("SET default_transaction_read_only = on"))
            before = await connection.scalar(asking)
            await connection.commit()
        await asyncio.sleep(0)  # it is closed by the event loop
        async with engine.connect() as connection:
            after = await connection.scalar(asking)

    assert (before != after) is is_replaced

"""What each of the database's refusals means to the caller."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import Settings
from app.database import get_engine, translate

MEANINGS = {
    "08000": 503,  # connection exception
    "08006": 503,  # connection failure
    "22003": 422,  # numeric value out of range
    "22021": 422,  # character not in repertoire
    "23502": 500,  # not null violation: the schemas should have refused it
    "23503": 409,  # foreign key violation: what it refers to was deleted meanwhile
    "23505": 409,  # unique violation
    "25006": 503,  # read-only: a standby
    "28P01": 503,  # invalid password: it is being changed
    "40001": 503,  # serialization failure
    "40P01": 503,  # deadlock
    "42P01": 500,  # undefined table: not migrated
    "53100": 503,  # disk full
    "53200": 503,  # out of memory
    "53300": 503,  # too many connections
    "55P03": 503,  # lock not available
    "57014": 504,  # statement timeout
    "57P01": 503,  # admin shutdown
    "57P02": 503,  # crash shutdown
    "57P03": 503,  # cannot connect now
    "XX000": 500,  # internal error
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


@pytest.mark.parametrize("state", [state for state in MEANINGS if state.startswith("5")])
async def test_what_may_pass_says_when_to_come_back(engine, state):
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

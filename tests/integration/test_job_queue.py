"""The queue's tables, and jobs enqueued in the caller's transaction."""

from datetime import timedelta

import pytest
from asgi_correlation_id import correlation_id
from pgqueuer.queries import Queries
from pydantic import SecretStr
from sqlalchemy import text

from app.core.jobs import JobPayload
from app.database import get_session_maker
from app.database.queue import SessionDriver
from app.repositories.background.jobs import MAX_PAYLOAD, JobQueue
from tests.databases import engine_of
from tests.tcp_proxy import proxied


class Greet(JobPayload):
    kind = "greet"
    name: str


@pytest.fixture
async def db(client, runtime):
    async with runtime.session_maker() as session:
        yield session


async def queued(runtime) -> list[tuple[str, bytes]]:
    async with runtime.engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT entrypoint, payload FROM pgqueuer WHERE status = 'queued' ORDER BY id")
        )
        return [(row.entrypoint, row.payload) for row in rows]


async def test_the_migrated_tables_are_those_that_pgqueuer_expects(client, runtime):
    async with runtime.engine.connect() as connection:
        plan = await Queries(SessionDriver(connection)).plan_upgrade()

    # Its trigger's function is our own, which sends the same notifications.
    assert [line for line in plan.statements if "fn_pgqueuer_changed" not in line] == []


async def test_a_job_exists_once_its_transaction_is_committed(db, runtime):
    job = await JobQueue(db).enqueue(Greet(name="Ada"))

    assert await queued(runtime) == []
    await db.commit()
    assert job is not None
    assert await queued(runtime) == [("greet", b'{"name":"Ada"}')]


async def test_a_job_does_not_exist_after_a_rollback(db, runtime):
    await JobQueue(db).enqueue(Greet(name="Ada"))

    await db.rollback()

    assert await queued(runtime) == []


async def test_a_job_enqueued_before_any_statement_belongs_to_the_transaction_as_well(db, runtime):
    await JobQueue(db).enqueue(Greet(name="first of all"))
    await db.rollback()
    await db.execute(text("SELECT 1"))
    await JobQueue(db).enqueue(Greet(name="later"))
    await db.rollback()

    assert await queued(runtime) == []


async def test_a_job_with_a_key_is_enqueued_once_until_it_is_done(db, runtime):
    jobs = JobQueue(db)

    first = await jobs.enqueue(Greet(name="Ada"), unique="greet:1")
    second = await jobs.enqueue(Greet(name="Ada"), unique="greet:1")
    other = await jobs.enqueue(Greet(name="Bob"), unique="greet:2")
    await db.commit()

    assert first is not None
    assert second is None
    assert other is not None
    assert len(await queued(runtime)) == 2


async def test_several_jobs_are_enqueued_at_once_in_their_order(db, runtime):
    await JobQueue(db).enqueue_all([Greet(name=name) for name in "abc"])
    await JobQueue(db).enqueue_all([])
    await db.commit()

    assert [payload for _, payload in await queued(runtime)] == [
        b'{"name":"a"}',
        b'{"name":"b"}',
        b'{"name":"c"}',
    ]


async def test_a_job_is_stored_as_pgqueuer_stores_one(db, runtime):
    theirs = Queries(SessionDriver(await db.connection()))
    await theirs.enqueue("greet", b'{"name":"Ada"}', dedupe_key="one")
    await JobQueue(db).enqueue(Greet(name="Ada"), unique="two")
    await db.commit()

    same = "to_jsonb(t) - ARRAY['id', 'job_id', 'dedupe_key']"
    for table in ("pgqueuer", "pgqueuer_log"):
        stored = list(await db.scalars(text(f"SELECT {same} FROM {table} AS t")))
        assert len(stored) == 2
        assert stored[0] == stored[1]


async def test_a_job_bears_the_request_that_caused_it(db, runtime):
    correlation_id.set("the-request")
    await JobQueue(db).enqueue(Greet(name="Ada"))
    correlation_id.set(None)

    assert await db.scalar(text("SELECT headers->>'request_id' FROM pgqueuer")) == "the-request"


async def test_a_delay_begins_with_the_transaction(db, runtime):
    await JobQueue(db).enqueue(Greet(name="Ada"), delay=timedelta(hours=1))
    await db.commit()

    left = text("SELECT execute_after - now() FROM pgqueuer")
    assert timedelta(minutes=59) < await db.scalar(left) < timedelta(minutes=61)


async def test_a_payload_that_is_too_long_is_refused(db):
    with pytest.raises(ValueError, match="greet is longer"):
        await JobQueue(db).enqueue(Greet(name="a" * MAX_PAYLOAD))


@pytest.mark.direct
async def test_an_enqueued_job_costs_one_round_trip(client, settings, servers):
    counts = []

    async with proxied(servers.postgres) as proxy:
        own = settings.replaced(database={"url": SecretStr(proxy.url)})
        async with engine_of(own.database) as engine, get_session_maker(engine)() as db:
            for _ in range(2):  # the first time prepares the statement
                await db.execute(text("SELECT 1"))
                before = proxy.round_trips
                await JobQueue(db).enqueue(Greet(name="Ada"))
                counts.append(proxy.round_trips - before)
                await db.commit()

    assert counts[1] == 1

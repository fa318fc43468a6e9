"""R3: a query longer than the deadline."""

import asyncio

from tests.conftest import browsing, person
from tests.faults.conftest import DEADLINE, LATE


async def test_it_is_answered_504_and_its_backend_stopped(site, admin, record):
    async with site.postgres.users_locked():
        reads = [site.ask(admin, "GET", "/users") for _ in range(site.connections - 5)]
        writes = [
            site.ask(admin, "PATCH", "/users/me", json={"full_name": f"Admin {n}"})
            for n in range(5)
        ]
        answers = await asyncio.gather(*reads, *writes)
        is_clean = await site.becomes_clean(5)

    assert {answer.status_code for answer in answers} == {504}
    assert {answer.json()["error"] for answer in answers} == {"request_timeout"}
    assert site.slowest < DEADLINE + LATE
    assert is_clean
    assert (await admin.get("/users/me")).json()["full_name"] is None
    assert (await admin.get("/users")).status_code == 200
    record("R3", "queries past the deadline", f"{site.seen()}; backends gone and pool clean in 1 s")


async def test_a_statement_that_the_server_ends_is_a_504_too(opening, record):
    own = {"database": {"statement_timeout": 0.5}, "server": {"request_timeout": 5.0}}
    async with opening(**own) as site, browsing(site.app) as visitor:
        admin = await person(visitor, site.runtime, "admin", is_superuser=True)
        async with site.postgres.users_locked():
            answer = await site.ask(admin, "GET", "/users")
        after = await admin.get("/users")

        assert answer.status_code == 504
        assert answer.json()["error"] == "request_timeout"
        assert site.slowest < 0.5 + LATE
        assert after.status_code == 200
        assert await site.becomes_clean(5)
        record("R3", "statement past DATABASE_STATEMENT_TIMEOUT", site.seen())

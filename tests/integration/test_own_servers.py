"""The tests themselves, on servers of one's own: `TEST_DATABASE_URL` and `TEST_REDIS_URL`."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis
from sqlalchemy import make_url

from tests.conftest import Servers

pytestmark = pytest.mark.direct
ONE_TEST = "tests/integration/test_auth.py::test_a_logout_ends_this_session_and_no_other"


def run(repository: Path, **named: str) -> "subprocess.CompletedProcess[str]":
    """pytest with one test."""
    kept = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    return subprocess.run(
        [sys.executable, "-m", "pytest", ONE_TEST, "-q", "-p", "no:cacheprovider"],
        check=False,
        capture_output=True,
        text=True,
        cwd=repository,
        env=kept | named,
    )


async def test_the_tests_pass_on_own_servers_and_leave_other_data_alone(
    servers: Servers, repository: Path
):
    beside, theirs = (
        make_url(servers.redis).set(database=number).render_as_string(hide_password=False)
        for number in ("9", "10")
    )
    connection = await asyncpg.connect(servers.direct)
    async with Redis.from_url(beside) as redis:
        await redis.set("kept", "yes")
        before = await connection.fetch("SELECT datname FROM pg_database ORDER BY 1")
        ended = await asyncio.to_thread(
            run, repository, TEST_DATABASE_URL=servers.direct, TEST_REDIS_URL=theirs
        )
        after = await connection.fetch("SELECT datname FROM pg_database ORDER BY 1")
        kept = await redis.getdel("kept")
    await connection.close()

    assert ended.returncode == 0, ended.stdout
    assert "1 passed" in ended.stdout
    assert after == before
    assert kept == b"yes"


@pytest.mark.parametrize("name", ["TEST_DATABASE_URL", "TEST_REDIS_URL"])
def test_where_nothing_listens_they_fail(name, repository):
    scheme = {"TEST_DATABASE_URL": "postgresql", "TEST_REDIS_URL": "redis"}[name]

    ended = run(repository, **{name: f"{scheme}://somebody@127.0.0.1:1/1"})

    assert ended.returncode != 0
    assert "1 error" in ended.stdout

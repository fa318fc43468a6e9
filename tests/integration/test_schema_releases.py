"""A schema and a release that do not belong together: newer, unknown, behind, or torn in two."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.config import Settings
from app.database import get_engine
from app.database.migrations import migrate
from app.database.schema_state import MigrationsError, current_revision, head_revision
from tests.conftest import Servers, browsing, recorded, running
from tests.databases import new_database
from tests.integration import test_cli
from tests.integration.test_cli import Environment, Project, fetch, production

pytestmark = pytest.mark.direct
project = test_cli.project  # the fixture
NEWER, UNKNOWN = "0999", "f00ba4"


@pytest.fixture
async def own(servers: Servers, settings: Settings) -> AsyncIterator[Settings]:
    """An empty database of the test's own."""
    async with new_database(servers.direct) as url:
        yield settings.replaced(database={"url": SecretStr(url)})


@pytest.fixture
def environment(own: Settings, servers: Servers) -> Environment:
    assert own.database.url is not None
    return {
        "DATABASE_URL": own.database.url.get_secret_value(),
        "CACHE_REDIS_URL": servers.redis,
        "LIMITER_REDIS_URL": servers.redis,
    }


async def bring_to(own: Settings, revision: str) -> None:
    """Migrate, and say that a release with this revision did."""
    engine = get_engine(own.database)
    await migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))
    await engine.dispose()


async def test_u3_a_newer_schema_is_left_alone_and_well(project, own, environment, settings):
    await bring_to(own, NEWER)

    migrated = project.cli("migrate", **environment)
    examined = project.cli("doctor", **environment)

    sentence = f"the schema is newer ({NEWER}) than this release ({head_revision()})"
    assert migrated.code == 0
    assert migrated.output.splitlines()[-1] == f"{sentence}: nothing to do"
    assert examined.code == 0
    assert "✗" not in examined.output
    assert "than this release" in examined.output
    query = "SELECT version_num FROM alembic_version"
    assert await fetch(settings, environment, query) == [(NEWER,)]


@pytest.mark.parametrize("environment_name", ["development", "production"])
async def test_u3_a_newer_schema_is_served(own, environment_name):
    await bring_to(own, NEWER)

    told = own.replaced(app={"environment": environment_name})
    async with running(told) as app, browsing(app) as client:
        assert (await client.get("/health/ready")).json()["status"] == "healthy"


@pytest.mark.parametrize("revision", ["-1", "base", "0001"])
async def test_u3_a_newer_schema_is_not_taken_back(project, own, environment, revision):
    await bring_to(own, NEWER)

    ended = project.cli("migrate", revision, **environment)

    assert ended.code == 1
    assert "only a release that contains this schema can change it" in ended.output
    assert "Traceback" not in ended.output


async def test_u3_an_unknown_schema_is_told_apart_from_a_newer_one(project, own, environment):
    await bring_to(own, UNKNOWN)

    migrated = project.cli("migrate", **environment)
    examined = project.cli("doctor", **environment)

    assert (migrated.code, examined.code) == (1, 1)
    assert f"the schema is at {UNKNOWN}, which is no revision of this release" in migrated.output
    assert "Traceback" not in migrated.output + examined.output


async def test_u8_a_service_is_not_ready_before_the_schema_is_there(own):
    told = own.replaced(app={"environment": "production"})
    async with running(told) as app, browsing(app) as client:
        runtime = app.state.runtime
        answers = [await client.get("/health/ready"), await client.get("/health")]
        await migrate(runtime.engine, "0004")
        answers.append(await client.get("/health/ready"))
        for answer in answers:
            database = answer.json()["checks"]["database"]
            assert (answer.status_code, database["error"]) == (503, "migrate first")

        await migrate(runtime.engine)

        assert (await client.get("/health/ready")).status_code == 200


async def test_u8_the_schema_is_asked_for_until_it_was_right(own):
    async with running(own) as app, browsing(app) as client:
        health = app.state.runtime.health
        with recorded_health(health) as sent:
            assert (await client.get("/health/ready")).status_code == 200
            first = len(sent)
            assert (await client.get("/health/ready")).status_code == 200

    assert first > 1
    assert len(sent[first:]) == 1


def recorded_health(health):
    """The SQL of its probes."""

    class OfHealth:
        engine = health._engine

    return recorded(OfHealth())  # type: ignore[arg-type]


async def test_u8_the_doctor_says_migrate(project, environment):
    ended = project.cli("doctor", **production(environment))

    assert ended.code == 1
    assert "backend migrate" in re.sub(r"[\s│]+", " ", ended.output)


@pytest.fixture
def forked(project: Project) -> Iterator[str]:
    """Two migrations that follow the same one; their names."""
    head = head_revision()
    names = [f"{int(head or 0) + 1:04}_a", f"{int(head or 0) + 1:04}_b"]
    versions = project.path / "alembic" / "versions"
    files = [versions / f"{name}.py" for name in names]
    for name, file in zip(names, files, strict=True):
        file.write_text(
            f"revision = {name!r}\ndown_revision = {head!r}\n"
            "def upgrade() -> None: ...\ndef downgrade() -> None: ...\n"
        )
    yield f"multiple heads: {', '.join(names)}"
    for file in files:
        file.unlink()


async def test_c24_two_migrations_on_one_are_named_and_nothing_is_done(
    project, forked, own, environment
):
    commands = ["migrate"], ["serve", "--port", "0"], ["doctor"]
    for ended in [project.cli(*command, **environment) for command in commands]:
        flat = re.sub(r"[\s│]+", " ", ended.output)
        assert ended.code == 1
        assert forked in flat or all(part in flat for part in forked.split())
        assert "alembic merge" in flat
        assert "Traceback" not in flat

    engine = get_engine(own.database)
    assert await current_revision(engine) is None
    await engine.dispose()


def test_c24_a_check_finds_them(project, forked, repository: Path):
    def checked() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, repository / ".ci" / "check_migrations.py"],
            env={"PYTHONPATH": str(project.path)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert checked().returncode == 1
    assert forked in checked().stderr
    assert ".ci/check_migrations.py" in (repository / "Makefile").read_text()


async def test_c24_two_migrations_on_one_migrate_nothing(monkeypatch, own):
    """C24"""
    heads = {"2_b": frozenset({"1"}), "2_a": frozenset({"1"}), "1": frozenset()}
    monkeypatch.setattr("app.database.schema_state.revisions", lambda: heads)

    with pytest.raises(MigrationsError, match="multiple heads: 2_a, 2_b"):
        async with running(own):
            pass


def test_c29_trusting_every_proxy_is_warned_about(project, environment):
    """C29"""
    told = environment | {"SERVER_FORWARDED_ALLOW_IPS": "*"}
    migrated = project.cli("migrate", **told)
    examined = project.cli("doctor", **told)

    assert migrated.code == 0
    assert migrated.output.count("SERVER_FORWARDED_ALLOW_IPS") == 1
    assert examined.code == 1
    assert "SERVER_FORWARDED_ALLOW_IPS" in examined.output

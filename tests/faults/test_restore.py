"""The lines of docs/OPERATIONS.md that back up and restore, as they stand there."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
import yaml
from pydantic import SecretStr
from sqlalchemy import make_url

from app.core.config import Settings
from app.embedded.postgres import _POSTGRES_BIN
from tests.conftest import PASSWORD, browsing, person, running
from tests.databases import new_database

LOGIN = "/api/v1/auth/login"
DOCKER = """#!{python}
# `docker compose`, for commands that run in a container: here they run on the test's servers.
import os, sys
_, compose, option, file, verb, *words = sys.argv
assert (compose, option, file) == ("compose", "--file", "deploy/compose.yaml")
if verb == "exec":
    terminal, service, *command = words
    assert terminal == "-T"  # else it would change the bytes that pass through
    if service == "postgres":
        os.environ.update({container!r})
        os.execvp(command[0], command)
    import redis
    assert (service, command[0]) == ("redis", "valkey-cli")
    redis.Redis.from_url({redis!r}).execute_command(*command[1:])
else:
    assert set(w for w in words if w[0] != "-") <= set({services!r})
with open("verbs", "a") as verbs:
    verbs.write(verb + chr(10))
"""

Run = Callable[[str], None]


@pytest.fixture
def told(tmp_path: Path) -> dict[str, str]:
    """The environment of the commands: the tests' PostgreSQL, and what a test puts before it."""
    (tmp_path / "bin").mkdir()
    return {"PATH": os.pathsep.join([f"{tmp_path}/bin", str(_POSTGRES_BIN), os.environ["PATH"]])}


@pytest.fixture
def run(told: dict[str, str], tmp_path: Path) -> Run:
    def run(script: str) -> None:
        command = ["sh", "-ec", script]
        subprocess.run(command, cwd=tmp_path, env=told, check=True, stdout=subprocess.DEVNULL)

    return run


def commands(repository: Path) -> list[str]:
    """The blocks: back up and restore, then the same under Compose."""
    page = (repository / "docs" / "OPERATIONS.md").read_text()
    section = page.partition("## Backup and restore")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


async def statuses_after(
    settings: Settings, old: str, new: str, backup: Callable[[], None], restore: Callable[[], None]
) -> list[int]:
    """What somebody meets whose database was restored: with the token and the refresh token that
    they had, when they log in, and somebody who came after the backup."""
    own = {"pooler": "none", "migration_url": None}
    apart = settings.replaced(cache={"enabled": False}, limiter={"enabled": False})
    async with (
        running(apart.replaced(database={**own, "url": SecretStr(old)})) as app,
        browsing(app) as visitor,
    ):
        ada = await person(visitor, app.state.runtime, "ada")
        backup()
        bob = await person(visitor, app.state.runtime, "bob")
    restore()
    async with (
        running(apart.replaced(database={**own, "url": SecretStr(new)})) as app,
        browsing(app) as visitor,
    ):
        ada.client = visitor
        refresh = {"refresh_token": ada.tokens["refresh_token"]}
        answers = [
            await ada.get("/users/me"),
            await visitor.post("/api/v1/auth/refresh", json=refresh),
            await visitor.post(LOGIN, json={"email": ada.email, "password": PASSWORD}),
            await visitor.post(LOGIN, json={"email": bob.email, "password": PASSWORD}),
        ]
    return [answer.status_code for answer in answers]


async def test_a_restored_database_has_all_users_and_no_sessions(
    servers, settings, repository, told, run
):
    backup, restore, *_ = commands(repository)

    async with new_database(servers.direct) as old, new_database(servers.direct) as new:
        told |= {"DATABASE_URL": old, "RESTORED_URL": new}
        statuses = await statuses_after(
            settings, old, new, lambda: run(backup), lambda: run(restore)
        )

    assert statuses == [401, 401, 200, 401]


async def test_so_does_one_that_was_restored_in_its_container(
    servers, settings, repository, tmp_path, run
):
    """U10: nothing outside the container reaches the database."""
    *_, backup, restore = commands(repository)
    services = yaml.safe_load((repository / "deploy" / "compose.yaml").read_text())["services"]

    async with new_database(servers.direct) as url:
        server = make_url(url)
        container = {
            "POSTGRES_USER": str(server.username),
            "POSTGRES_DB": str(server.database),
            "PGPASSWORD": str(server.password),
            "PGHOST": str(server.host),
            "PGPORT": str(server.port),
        }
        docker = tmp_path / "bin" / "docker"
        docker.write_text(
            DOCKER.format(
                python=sys.executable,
                container=container,
                redis=servers.redis,
                services=sorted(services),
            )
        )
        docker.chmod(0o755)
        try:
            statuses = await statuses_after(
                settings, url, url, lambda: run(backup), lambda: run(restore)
            )
        finally:
            admin = await asyncpg.connect(servers.direct)
            for left in ("replaced", "restored"):
                await admin.execute(f"DROP DATABASE IF EXISTS {left}")
            await admin.close()

    assert statuses == [401, 401, 200, 401]
    assert (tmp_path / "verbs").read_text().split() == ["stop", "exec", "up"]

"""The lines of docs/OPERATIONS.md that back up and restore, as they stand there."""

import os
import re
import subprocess
from pathlib import Path

from pydantic import SecretStr

from app.database.embedded.postgres import _POSTGRES_BIN
from tests.conftest import PASSWORD, browsing, person, running
from tests.databases import new_database

LOGIN = "/api/v1/auth/login"


def commands(repository: Path) -> list[str]:
    page = (repository / "docs" / "OPERATIONS.md").read_text()
    section = page.partition("## Backup and restore")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


async def test_a_restored_database_has_everybody_and_nobody_logged_in(
    servers, settings, repository, tmp_path
):
    backup, restore = commands(repository)
    told = {"PATH": f"{_POSTGRES_BIN}{os.pathsep}{os.environ['PATH']}"}

    def run(script: str) -> None:
        command = ["sh", "-ec", script]
        subprocess.run(command, cwd=tmp_path, env=told, check=True, stdout=subprocess.DEVNULL)

    async with new_database(servers.direct) as old, new_database(servers.direct) as new:
        told |= {"DATABASE_URL": old, "RESTORED_URL": new}
        own = {"pooler": "none", "migration_url": None}
        apart = settings.replaced(cache={"enabled": False})
        async with (
            running(apart.replaced(database={**own, "url": SecretStr(old)})) as app,
            browsing(app) as visitor,
        ):
            ada = await person(visitor, app.state.runtime, "ada")
            run(backup)
        run(restore)
        async with (
            running(apart.replaced(database={**own, "url": SecretStr(new)})) as app,
            browsing(app) as visitor,
        ):
            ada.client = visitor
            refresh = {"refresh_token": ada.tokens["refresh_token"]}
            refusals = [
                await ada.get("/users/me"),
                await visitor.post("/api/v1/auth/refresh", json=refresh),
            ]
            again = await visitor.post(LOGIN, json={"email": ada.email, "password": PASSWORD})

    assert [refusal.status_code for refusal in refusals] == [401, 401]
    assert again.status_code == 200

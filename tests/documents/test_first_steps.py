"""The README, as somebody new follows it."""

import os
import re
import signal
import subprocess
from functools import partial

import pytest

from app.embedded.files import free_port
from tests.databases import new_database
from tests.documents.conftest import copied
from tests.documents.pages import PAGES, README, blocks_of
from tests.launcher import answers, launched
from tests.process import instance

pytestmark = [pytest.mark.direct, pytest.mark.timeout(300)]
ADDRESS = "http://127.0.0.1:8000"


async def test_the_first_requests_are_answered_as_the_readme_shows(servers, tmp_path):
    blocks = [b for page in PAGES for b in blocks_of(page) if ADDRESS in b.text]
    typed, shown = zip(*(pair for block in blocks for pair in block.commands()), strict=True)

    async with new_database(servers.direct) as url:
        with instance(servers, tmp_path, None, DATABASE_URL=url) as started:
            answered = typed_into_a_shell([line.replace(ADDRESS, started.url) for line in typed])

    patterns = [re.sub(r"(\\ )*…", ".*", re.escape(output)) for output in shown]
    for answer, pattern in zip(answered, patterns, strict=True):
        assert re.fullmatch(pattern, answer)


def typed_into_a_shell(lines: list[str]) -> list[str]:
    """What each of them says, one after another."""
    script = "\nprintf '\\0'\n".join(lines)
    said = subprocess.check_output(["bash", "-euc", script], text=True)
    return [answer.strip() for answer in said.split("\0")]


def test_make_run_serves_from_nothing_and_stops(repository, tmp_path):
    port = str(free_port())
    with (
        copied(repository) as fresh,
        launched(
            ["make", "run"],
            tmp_path / "make.log",
            partial(answers, f"http://127.0.0.1:{port}/health"),
            environment={**fresh.environment, "SERVER_PORT": port},
            folder=fresh.path,
        ) as made,
    ):
        os.killpg(made.pid, signal.SIGINT)  # Ctrl+C
        made.wait(60)

    output = (tmp_path / "make.log").read_text()
    assert f"http://127.0.0.1:{port}/api/v1/dashboard" in output
    assert re.search(r"admin@example\.com(.|\n)*password +\S+", output)


def test_a_migration_is_made_run_and_taken_back(migrated):
    (block,) = (b for b in blocks_of(README) if "alembic revision" in b.text)
    versions = migrated.path / "alembic" / "versions"
    before = set(versions.iterdir())

    made, up, down = [migrated.run(command) for command, _ in block.commands()]

    (draft,) = set(versions.iterdir()) - before - {versions / "__pycache__"}
    draft.unlink()
    assert draft.name.endswith("_add_something.py")
    assert draft.name in made
    revision = draft.name.partition("_")[0]
    assert up.splitlines()[-1].endswith(f" → {revision}")
    assert down.splitlines()[-1].startswith(f"{revision} → ")

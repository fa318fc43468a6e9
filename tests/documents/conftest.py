"""A copy of the project to try what the documents say, as if it had just been installed."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.embedded.postgres import _POSTGRES_BIN
from tests.conftest import Servers
from tests.databases import new_database

# Of the tools' caches that of mypy comes along: without it the same takes half a minute longer.
APART = (".git", ".venv", ".local", ".env", ".[!m]*_cache", "node_modules", "__pycache__")
NODE = Path("tests", "node", "node_modules")
_MIGRATIONS = "tests/integration/test_migrations.py::test_"
WHOLE_SCHEMA = " ".join(
    f"{_MIGRATIONS}{name}"
    for name in (
        *("the_schema_is_what_the_models_say", "up_again_gives_the_same_schema"),
        *("each_step_down_undoes_its_step_up", "the_way_down_leaves_nothing_but_alembics_table"),
    )
)
"""The tests of migrations that look at all tables."""


@dataclass(frozen=True)
class Checkout:
    """A copy, whose programs and commands work on the copy.

    Attributes:
        environment: of its commands.
    """

    path: Path
    environment: dict[str, str]

    def run(self, command: str, **environment: str) -> str:
        """What a shell command says.

        Raises:
            AssertionError: it failed; what it said is the message.
        """
        ended = subprocess.run(
            ["bash", "-euc", command],
            cwd=self.path,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}"
        return ended.stdout


def install(path: Path) -> None:
    """Give it the packages of this very run, and let `make` believe that it installed them."""
    programs = path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for program in Path(sys.executable).parent.iterdir():
        (programs / program.name).symlink_to(program)
    for part in Path(sys.prefix).iterdir():
        if part.name in {"lib", "lib64", "include", "pyvenv.cfg"}:
            (path / ".venv" / part.name).symlink_to(part)
    if not (programs / "backend").exists():
        (programs / "backend").write_text(f'#!/bin/sh\nexec {programs}/python -m app.cli "$@"\n')
        (programs / "backend").chmod(0o755)
    for installed in ("installed", "installed-dev", "installed-bench"):
        (path / ".venv" / installed).touch()


@contextmanager
def copied(repository: Path) -> Iterator[Checkout]:
    # Not in pytest's own folder, which is closed to others: root runs PostgreSQL as one of them.
    with tempfile.TemporaryDirectory(prefix="checkout-") as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "project"
        shutil.copytree(repository, path, ignore=shutil.ignore_patterns(*APART))
        (path / NODE).symlink_to(repository / NODE)
        install(path)
        environment = {**os.environ, "PYTHONPATH": str(path), "NO_COLOR": "1"}
        for name in ("ENVIRONMENT", "MAKEFLAGS", "MAKELEVEL"):  # of the tests, of `make test`
            environment.pop(name, None)
        yield Checkout(path, environment)


@pytest.fixture(scope="module")
async def checkout(repository: Path, servers: Servers) -> AsyncIterator[Checkout]:
    """One on the run's servers, with an empty database."""
    async with new_database(servers.direct) as url:
        with copied(repository) as checkout:
            checkout.environment.update(
                DATABASE_URL=url,
                CACHE_REDIS_URL=servers.redis,
                LIMITER_REDIS_URL=servers.redis,
                AUTH_SECRET_KEY="a secret that is only used in the tests",
            )
            yield checkout


@pytest.fixture(scope="module")
def migrated(checkout: Checkout) -> Checkout:
    """A copy whose database is, too; its programs are found as after `activate`."""
    places = [str(checkout.path / ".venv" / "bin"), str(_POSTGRES_BIN), os.environ["PATH"]]
    checkout.environment["PATH"] = os.pathsep.join(places)
    checkout.run("backend migrate")
    return checkout

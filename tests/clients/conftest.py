"""An instance of its own, with an empty database, and tools that know nothing of our code."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT, CompletedProcess, run
from uuid import uuid4

import pytest

from tests.conftest import PASSWORD, Servers
from tests.databases import new_database
from tests.process import instance

SUPERUSER = "admin@example.com"
UNLIMITED = "1000000/minute"


@dataclass(frozen=True)
class Site:
    """Where an instance is, and its database."""

    url: str
    database: str


Tool = Callable[..., "CompletedProcess[str]"]


@asynccontextmanager
async def fresh_site(servers: Servers, folder: Path, **settings: str) -> AsyncIterator[Site]:
    """As fresh as after the first `make run`, with a superuser whose password is known."""
    async with new_database(servers.direct) as url:
        own = {
            "DATABASE_URL": url,
            "DATABASE_POOLER": "none",
            "CACHE_PREFIX": f"own-{uuid4().hex}",
            "FIRST_SUPERUSER_EMAIL": SUPERUSER,
            "FIRST_SUPERUSER_PASSWORD": PASSWORD,
            **settings,
        }
        with instance(servers, folder, None, **own) as started:
            yield Site(started.url, url)


@pytest.fixture(scope="module")
async def site(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """One whose limits stand in nobody's way: a client that tries everything is more than one
    person."""
    limits = {
        f"LIMITER_{name}": UNLIMITED
        for name in ("LOGIN", "LOGIN_ADDRESS", "SIGN_UP", "REFRESH", "WRITE", "READ")
    }
    async with fresh_site(servers, tmp_path_factory.mktemp("site"), **limits) as site:
        yield site


@pytest.fixture(scope="session")
def node(repository: Path) -> Tool:
    """Runs a tool of tests/node, as in `node("newman", "run", …)`; its output is in `stdout`."""
    tools = repository / "tests" / "node" / "node_modules" / ".bin"

    def call(tool: str, *arguments: str | Path) -> "CompletedProcess[str]":
        assert (tools / tool).exists(), "`make postman` installs it"
        command = [tools / tool, *arguments]
        return run(command, check=False, stdout=PIPE, stderr=STDOUT, text=True, cwd=repository)

    return call

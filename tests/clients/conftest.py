"""An instance of its own, with an empty database, and tools that know nothing of our code."""

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT, CompletedProcess, run
from uuid import uuid4

import pytest

from tests.conftest import PASSWORD, Servers
from tests.databases import new_database
from tests.documents.pages import ROOT, Block, blocks_of
from tests.process import instance

SUPERUSER = "admin@example.com"
UNLIMITED = "1000000/minute"
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
"""Environment of Node's tools: none of them asks another host."""
PAGE = ROOT / "docs" / "CLIENTS.md"
TSCONFIG = {
    "compilerOptions": {
        "strict": True,
        "noUncheckedIndexedAccess": True,
        "module": "nodenext",
        "target": "es2022",
        "lib": ["es2022", "dom"],
        "types": [],
    }
}


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
        return run(
            [tools / tool, *arguments],
            check=False,
            stdout=PIPE,
            stderr=STDOUT,
            text=True,
            cwd=repository,
            env={**os.environ, **QUIET},
        )

    return call


def shown(language: str) -> list[Block]:
    return [block for block in blocks_of(PAGE) if block.language == language]


@pytest.fixture(scope="module")
def project(repository: Path, node: Tool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as the page has it, and `smoke.ts` beside it."""
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "node_modules").symlink_to(repository / "tests" / "node" / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "tsconfig.json").write_text(json.dumps(TSCONFIG))
    (folder / "src").mkdir()
    for block in shown("ts"):
        assert block.path is not None
        (folder / block.path).write_text(block.text)
    smoke = repository / "tests" / "clients" / "smoke.ts"
    (folder / "src" / "smoke.ts").write_text(smoke.read_text())
    command = shown("sh")[1].text.splitlines()[-1].split()
    assert command[:2] == ["npx", "openapi-typescript"]
    output = folder / command.pop()
    report = node(*command[1:], output)
    assert report.returncode == 0, report.stdout
    return folder


@pytest.fixture(scope="module")
def compiled(project: Path, node: Tool) -> Path:
    """Its folder of JavaScript, compiled with strict types."""
    report = node("tsc", "--project", project)
    assert report.returncode == 0, report.stdout
    return project / "src"

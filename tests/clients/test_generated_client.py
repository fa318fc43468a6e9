"""A client that openapi-python-client makes of the document has types that hold, and works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import SUPERUSER
from tests.conftest import PASSWORD

HERE = Path(__file__).parent
# The generator's own part, which is the same for every document, passes `*args` to `__exit__`.
MYPY = """[mypy]
strict = true
[mypy-backend_client.client]
ignore_errors = true
"""


def run(*command: str | Path, **environment: str) -> None:
    """Raises: AssertionError: it failed; what it said is the message."""
    report = subprocess.run(
        command,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    assert report.returncode == 0, report.stdout


@pytest.fixture(scope="module")
def generator(repository: Path) -> Path:
    """The programs of the generator's own environment: it asks for an older typer than ours."""
    programs = repository / ".venv" / "client-generator" / "bin"
    assert programs.exists(), "`make .venv/client-generator/.installed` installs it"
    return programs


@pytest.fixture(scope="module")
def generated(generator: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the package `backend_client`."""
    folder = tmp_path_factory.mktemp("generated")
    config = folder / "config.yaml"
    config.write_text("post_hooks: []\n")
    document, client = repository / "docs" / "openapi.json", folder / "backend_client"
    options: list[str | Path] = ["--config", config, "--meta", "none", "--fail-on-warning"]
    options += ["--path", document, "--output-path", client]
    run(generator / "openapi-python-client", "generate", *options)
    return folder


def test_its_types_hold(generated, generator):
    config = generated / "mypy.ini"
    config.write_text(MYPY)
    mypy: list[str | Path] = [sys.executable, "-m", "mypy", "--config-file", config]
    mypy += ["--cache-dir", generated / "cache", "--python-executable", generator / "python"]

    run(*mypy, "-p", "backend_client", MYPYPATH=str(generated))
    run(*mypy, HERE / "smoke.py", MYPYPATH=str(generated))


@pytest.mark.direct
def test_it_works(generated, generator, site):
    told = (site.url, SUPERUSER, PASSWORD)

    run(generator / "python", HERE / "smoke.py", *told, PYTHONPATH=str(generated))

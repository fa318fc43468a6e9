"""The service with the packages of requirements.lock alone: no extra, and nothing of the tests."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.process import CLI, environment, instance

pytestmark = [pytest.mark.direct, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def python(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has these packages."""
    folder = tmp_path_factory.mktemp("lock") / "venv"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    lock = ["--require-hashes", "-r", repository / "requirements.lock"]
    install = [uv, "pip", "install", "--quiet", "--python", python, *lock]
    subprocess.run([*map(str, install)], check=True)
    return python


def test_it_starts_and_is_healthy(servers, python, tmp_path):
    with instance(servers, tmp_path, command=[str(python), *CLI[1:], "serve"]) as started:
        health = httpx.get(f"{started.url}/health", timeout=30)

    assert health.json()["status"] == "healthy"


def test_traces_that_are_asked_for_are_refused_with_advice(servers, python):
    ended = subprocess.run(
        [python, *CLI[1:], "serve"],
        env=environment(servers) | {"TELEMETRY_OTLP_ENDPOINT": "http://collector:4318"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert "TELEMETRY_OTLP_ENDPOINT: needs the extra telemetry" in ended.stdout + ended.stderr
    assert "pip install -e '.[telemetry]'" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr

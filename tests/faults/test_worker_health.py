"""The health files of `backend worker`, read by the probes of deploy/k8s/worker.yaml."""

import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from app.worker.health_files import INTERVAL
from tests.conftest import running
from tests.polling import within_async
from tests.process import worker

MANIFEST = Path(__file__).resolve().parents[2] / "deploy" / "k8s" / "worker.yaml"
LATE = 30.0
"""Seconds that a busy machine may take to start a worker, or to touch the files again."""


@dataclass
class Probed:
    """A worker, and the probes that Kubernetes has of it."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    log: Path

    def passes(self, probe: str) -> bool:
        (container,) = yaml.safe_load(MANIFEST.read_text())["spec"]["template"]["spec"][
            "containers"
        ]
        (folder,) = (
            one["value"] for one in container["env"] if one["name"] == "JOBS_HEALTH_FOLDER"
        )
        command = [
            part.replace(f"{folder}/", f"{self.folder}/")
            for part in container[probe]["exec"]["command"]
        ]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def lives(self) -> bool:
        return self.passes("livenessProbe")

    def is_ready(self) -> bool:
        return self.passes("readinessProbe")

    def age(self) -> None:
        """Have a minute gone by since the files were touched."""
        past = time.time() - 61
        for name in ("live", "ready"):
            os.utime(self.folder / name, (past, past))


@pytest.fixture
async def probed(servers, settings, postgres, tmp_path) -> AsyncIterator[Probed]:
    database = {"url": SecretStr(postgres.url)}
    own = type(servers)(postgres.url, servers.redis, postgres.url)
    folder = tmp_path / "made" / "by-it"
    told = {"DATABASE_POOLER": "none", "JOBS_DRAIN": "1", "JOBS_HEALTH_FOLDER": str(folder)}
    async with running(settings.replaced(database=database)):  # which makes the schema
        with worker(own, tmp_path, **told) as process:
            probed = Probed(process, folder, tmp_path / "worker.log")
            assert await within_async(LATE, probed.is_ready), probed.log.read_text()
            yield probed
            process.send_signal(signal.SIGCONT)


async def test_r16_a_worker_that_hangs_is_not_live_and_one_that_goes_on_is(probed: Probed):
    live_before = probed.lives()
    probed.process.send_signal(signal.SIGSTOP)
    probed.age()
    hung = [probed.lives() for _ in range(2)]
    is_touched = await within_async(INTERVAL + 1, probed.lives)
    probed.process.send_signal(signal.SIGCONT)

    assert live_before
    assert hung == [False, False]
    assert not is_touched
    assert await within_async(LATE, probed.lives)
    assert await within_async(LATE, probed.is_ready)


async def test_r16_a_worker_without_its_database_is_live_and_not_ready(probed: Probed, postgres):
    await postgres.stop(signal.SIGINT)
    try:
        probed.age()
        is_live = await within_async(LATE, probed.lives)
        probed.age()
        is_live_again = await within_async(LATE, probed.lives)
        is_ready = probed.is_ready()
    finally:
        await postgres.start()

    assert is_live
    assert is_live_again
    assert not is_ready
    assert await within_async(LATE, probed.is_ready), probed.log.read_text()

"""The secret key that development makes for itself."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from stat import S_IMODE
from threading import Barrier

import pytest

from app.embedded.dev_secret import dev_secret

AT_ONCE = 8
ASK = """
import sys
from pathlib import Path
from app.embedded.dev_secret import dev_secret

sys.stdin.read()  # until all are ready
print(dev_secret(Path(sys.argv[1])), end="")
"""


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_the_development_secret_has_256_random_bits(tmp_path):
    secrets = {dev_secret(tmp_path / name) for name in "ab"}

    assert len(secrets) == 2
    assert {len(secret) for secret in secrets} == {43}


def test_the_development_secret_is_created_once(tmp_path):
    first = dev_secret(tmp_path / "secret")

    assert dev_secret(tmp_path / "secret") == first


def test_only_its_owner_may_read_it(tmp_path, open_umask):
    dev_secret(tmp_path / "secret")

    assert S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_its_folder_is_made_and_stays_open_to_the_database_that_may_lie_in_it(tmp_path):
    dev_secret(tmp_path / "project" / ".local" / "secret")

    (tmp_path / "plain").mkdir()
    usual = (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "project" / ".local").stat().st_mode == usual


def test_no_temporary_file_remains_beside_the_secret(tmp_path):
    dev_secret(tmp_path / "secret")

    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_concurrent_threads_get_the_same_secret(tmp_path):
    ready = Barrier(AT_ONCE)

    def ask(_: int) -> str:
        ready.wait()
        return dev_secret(tmp_path / "secret")

    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = set(threads.map(ask, range(AT_ONCE)))

    assert answers == {(tmp_path / "secret").read_text()}
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_concurrent_processes_get_the_same_secret(tmp_path, repository):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, tmp_path / "secret"],
            cwd=repository,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None  # `communicate` would close it again
    answers = {process.communicate(timeout=30)[0] for process in processes}

    assert answers == {(tmp_path / "secret").read_text()}

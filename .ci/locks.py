"""Compiles the lock files, or fails where one is not what its sources give.

Usage: locks.py [--write [--upgrade] [--cooldown DAYS]]
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

COMPILE = [
    *(str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--no-header"),
    *("--universal", "--python-version", "3.11", "--generate-hashes"),
]
LOCKS = {
    "requirements.lock": ["pyproject.toml", "--group", "development"],
    "requirements-dev.lock": [
        *("pyproject.toml", "--extra", "telemetry"),
        *("--group", "development", "--group", "test", "--group", "check"),
        *("-c", "requirements.lock"),
    ],
    "requirements-bench.lock": [
        *("pyproject.toml", "--group", "development", "--group", "bench"),
        *("-c", "requirements-dev.lock"),
    ],
    # The image has what the tests run, and no other version of it.
    "deploy/requirements.lock": [
        *("pyproject.toml", "--extra", "telemetry", "-c", "requirements-dev.lock"),
    ],
    "tests/clients/generator.lock": ["tests/clients/generator.in"],
}
"""What each lock is compiled from; one comes after those that constrain it."""


def compile_lock(lock: str | Path, arguments: list[str]) -> None:
    """Write a lock; versions that it has stay where they still satisfy what is asked for."""
    subprocess.run([*COMPILE, *arguments, "-o", lock], check=True, stdout=subprocess.DEVNULL)


def is_stale(lock: str) -> bool:
    """Whether compiling on top of a copy changes it.

    Without a cooldown: a version that was chosen in a hurry is not stale.
    """
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(shutil.copy(lock, folder))
        compile_lock(draft, LOCKS[lock])
        return draft.read_text() != Path(lock).read_text()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--upgrade", action="store_true")
    parser.add_argument("--cooldown", type=int, default=7, help="least age of a release in days")
    asked = parser.parse_args()
    if asked.write:
        options = ["--exclude-newer", f"{asked.cooldown} days"]
        options += ["--upgrade"] if asked.upgrade else []
        for lock, arguments in LOCKS.items():
            compile_lock(lock, [*arguments, *options])
        return 0
    with ThreadPoolExecutor(len(LOCKS)) as pool:
        stale = [
            lock for lock, it_is in zip(LOCKS, pool.map(is_stale, LOCKS), strict=True) if it_is
        ]
    if stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run: make lock\n")
    return len(stale)


if __name__ == "__main__":
    sys.exit(main())

"""Fails where a lock is not what pyproject.toml gives.

Usage: check_locks.py COMMAND [ARGUMENT ...], the command that compiles a lock
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LOCKS = {
    "requirements.lock": ["--extra", "development"],
    "requirements-dev.lock": [
        *("--extra", "development", "--extra", "test"),
        *("-c", "requirements.lock"),
    ],
    "requirements-bench.lock": [
        *("--extra", "development", "--extra", "bench"),
        *("-c", "requirements-dev.lock"),
    ],
    "deploy/requirements.lock": ["-c", "requirements.lock"],
}


def main() -> int:
    stale = []
    for lock, extra in LOCKS.items():
        # Compiled on top of a copy: versions stay where they still satisfy what is asked for.
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(shutil.copy(lock, folder))
            subprocess.run(
                [*sys.argv[1:], *extra, "-o", draft], check=True, stdout=subprocess.DEVNULL
            )  # the Makefile's own command
            if draft.read_text() != Path(lock).read_text():
                stale.append(lock)
    if stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run: make lock\n")
    return len(stale)


if __name__ == "__main__":
    sys.exit(main())

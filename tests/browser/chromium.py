"""The browser that the tests drive: one that is here, else Debian's, which root may install.

python tests/browser/chromium.py      # what `make test` does first
"""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = ("chromium", "fonts-dejavu-core")
MISSING = (
    "install chromium: the tests of the admin pages drive one (or name one by CHROMIUM=/path/to/it)"
)


class BrowserMissing(Exception):
    """There is none, and it cannot be installed; the message says what to do."""


def chromium() -> str:
    """The path of a Chromium, which is installed where there is none and we are root.

    Raises:
        BrowserMissing: neither works.
    """
    if (found := _found()) is not None:
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise BrowserMissing(MISSING)
    print("installing Debian's chromium for the tests of the admin pages …", file=sys.stderr)  # noqa: T201  # a script
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        ended = subprocess.run(
            ["apt-get", "--quiet=2", *command],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        if ended.returncode != 0:
            raise BrowserMissing(f"{MISSING}\n{ended.stderr}")
    installed = _found()
    if installed is None:
        raise BrowserMissing(MISSING)
    return installed


def _found() -> str | None:
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


if __name__ == "__main__":
    try:
        chromium()
    except BrowserMissing as missing:
        sys.exit(str(missing))

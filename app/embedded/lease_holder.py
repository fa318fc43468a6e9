"""Process that holds leases on the embedded servers while `fastapi dev` or `uvicorn --reload`
restarts its web process.

`fastapi dev` and `uvicorn --reload` end the only process that uses the servers at each change of a
file: the servers would be stopped and started again. A process of its own holds a lease as long as
that program lives.
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.server import EmbeddedServer
from app.embedded.valkey import EmbeddedValkey

with suppress(ImportError):  # where no embedded server is available
    import psutil

HOLDER = "EMBEDDED_SERVERS_HOLDER"
"""Environment variable: the id of a process that holds leases for its child processes."""
_KINDS: dict[str, type[EmbeddedServer]] = {
    kind.__name__: kind for kind in (EmbeddedPostgres, EmbeddedValkey)
}


def mark_as_lease_holder() -> None:
    """Declare to the child processes of this process that it holds leases."""
    os.environ[HOLDER] = str(os.getpid())


def start_lease_holder(servers: Sequence[EmbeddedServer]) -> None:
    """Start a process that holds leases until the parent ends, unless the parent or such a process
    holds them already."""
    parent = multiprocessing.parent_process()
    if not servers or parent is None or os.environ.get(HOLDER) == str(parent.pid):
        return
    named = [f"{type(server).__name__}={server.directory}" for server in servers]
    arguments = ["-m", "app.embedded.lease_holder", str(parent.pid), *named]
    if any(process.info["cmdline"][1:] == arguments for process in _processes()):
        return
    subprocess.Popen(
        [sys.executable, *arguments],
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl+C is for the parent, whose end is waited for
    )


def _processes() -> list["psutil.Process"]:
    return [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"]]


def main(parent: str, *named: str) -> None:
    """Hold leases until the process `parent` ends; each name is a kind and its directory."""
    with suppress(psutil.NoSuchProcess), ExitStack() as stack:
        process = psutil.Process(int(parent))
        for kind, _, directory in (name.partition("=") for name in named):
            stack.enter_context(_KINDS[kind](Path(directory)))
        process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])

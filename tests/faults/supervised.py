"""`app.server.run.run` with two workers that can fail to start.

The file `mode` in the folder of the environment variable `SUPERVISED` decides how each worker
starts: not at all ("stuck": its import does not return; "fail": its start-up raises; "killed": it
kills itself while it starts) or in order (""). A worker that is "clinging" starts in order, and its
shutdown does not return. Each start leaves an empty file `<process id>.start` there.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app.server.drain import Drain, stop_with_parent
from app.server.run import listen, run, unwind_on_signal

FOLDER = Path(os.environ["SUPERVISED"])
DRAIN = float(os.environ["DRAIN"])


def mode() -> str:
    return (FOLDER / "mode").read_text()


async def pid(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(os.getpid()))


async def slow(request: Request) -> PlainTextResponse:
    """Answer after a second and a half."""
    (FOLDER / f"{os.getpid()}.slow").touch()
    await asyncio.sleep(1.5)
    return PlainTextResponse(str(os.getpid()))


async def block(request: Request) -> PlainTextResponse:
    """Stop the event loop, but no other thread."""
    time.sleep(3600)  # noqa: ASYNC251  # as a careless endpoint would
    return PlainTextResponse("")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    stop_with_parent()
    if mode() == "fail":
        raise RuntimeError("a start that fails")
    if mode() == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    with Drain(DRAIN).on_sigterm():
        yield
    if mode() == "clinging":
        await asyncio.sleep(3600)


app = Starlette(
    routes=[Route("/", pid), Route("/slow", slow), Route("/block", block)], lifespan=lifespan
)

if __name__ == "__main__":
    config = uvicorn.Config(
        "tests.faults.supervised:app",
        workers=2,
        lifespan="on",
        timeout_graceful_shutdown=3,
        timeout_worker_healthcheck=int(os.environ["HEALTHCHECK"]),
    )
    sockets = listen("127.0.0.1", int(sys.argv[1]))
    with unwind_on_signal():
        sys.exit(run(config, sockets, patience=DRAIN + 5))
elif __name__ == "__mp_main__":  # the import in a worker
    (FOLDER / f"{os.getpid()}.start").touch()
    if mode() == "stuck":
        time.sleep(3600)

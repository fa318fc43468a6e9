"""`backend serve` and `backend dev`: run the web server."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

import structlog
import typer
import uvicorn
from rich.panel import Panel
from rich.text import Text

from app.bootstrap import (
    FirstSuperuser,
    database_problem,
    prepare_database,
    show_generated_password,
)
from app.cli.running import command_settings, console, fail, run_command
from app.core.config import ServerSettings, Settings
from app.embedded.lease_holder import mark_as_lease_holder
from app.runtime import open_runtime, open_servers
from app.server.reload import Reloader
from app.server.run import AddressError, listen, unwind_on_signal, url_of
from app.server.run import run as run_server
from app.worker.worker import RECORDING_TIMEOUT

log = structlog.get_logger("app.serve")

Host = Annotated[str | None, typer.Option(help="Address to listen on. Default: SERVER_HOST.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on. Default: SERVER_PORT.")
]


def serve(
    host: Host = None,
    port: Port = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of web processes. Default: SERVER_WORKERS.")
    ] = None,
) -> None:
    """Serve the API."""
    settings = command_settings()
    server = settings.server
    with _prepared(settings, host, port) as (options, sockets):
        jobs = settings.jobs.drain + RECORDING_TIMEOUT if settings.run_jobs_in_web else 0
        patience = server.drain + server.request_timeout + jobs + 5
        config = uvicorn.Config("main:app", workers=workers or server.workers, **options)
        code = run_server(config, sockets, patience)
    raise typer.Exit(code)


def dev(host: Host = None, port: Port = None) -> None:
    """Serve the API while you change it: each change is served within two seconds."""
    settings = command_settings()
    if settings.is_production:
        fail("ENVIRONMENT=production: `backend dev` is for development, use `backend serve`")
    # In development no proxy has to notice, and jobs run again after the reload.
    os.environ |= {"SERVER_DRAIN": "0", "JOBS_DRAIN": "0"}
    with _prepared(settings, host, port) as (options, sockets):
        Reloader(uvicorn.Config("main:app", **options), sockets).run()


@contextmanager
def _prepared(
    settings: Settings, host: str | None, port: int | None
) -> Iterator[tuple[dict[str, Any], list[socket.socket]]]:
    """Bind the port, start the embedded servers, migrate, and print the URLs.

    Returns:
        Options of `uvicorn.Config`, and the sockets.
    """
    server = settings.server
    host, port = host or server.host, server.port if port is None else port
    try:
        sockets = listen(host, port)
    except AddressError as error:
        fail(str(error))
    with unwind_on_signal(), ExitStack() as stack:
        superuser = run_command(_prepare(settings, stack))
        _print_addresses(settings, url_of(host, sockets))
        show_generated_password(superuser, console)
        yield _options(server, host, port), sockets


def _options(server: ServerSettings, host: str, port: int) -> dict[str, Any]:
    return {
        "host": host,
        "port": port,
        "proxy_headers": bool(server.forwarded_allow_ips),
        "forwarded_allow_ips": list(server.forwarded_allow_ips),
        "access_log": False,
        "server_header": False,
        "log_config": None,
        "lifespan": "on",  # a failed start ends the process
        # Counted from the end of the drain; longer than any request may take.
        "timeout_graceful_shutdown": int(server.request_timeout) + 3,
        # Longer than proxies keep a connection for its next request, mostly 60 s: else one would go
        # out on it now and then while it is closed here.
        "timeout_keep_alive": 75,
        # By default 5 s, in which a worker on a busy machine has not even begun: it would be
        # killed and started again, for ever.
        "timeout_worker_healthcheck": 30,
    }


async def _prepare(settings: Settings, stack: ExitStack) -> FirstSuperuser | None:
    """Start servers and migrate the schema; what is missing is an error before the start.

    In production the service starts without its database too, which may come back later.
    """
    if settings.is_production:
        if problem := await database_problem(settings):
            log.warning("database_away", setting=settings.database.variable, reason=problem)
        return None
    # Held by this process too: they stay while workers are replaced, or the code is reloaded.
    stack.enter_context(open_servers(settings))
    mark_as_lease_holder()
    async with open_runtime(settings) as runtime:
        return await prepare_database(runtime)


def _print_addresses(settings: Settings, url: str) -> None:
    places = {
        "dashboard": f"{url}/api/v1/dashboard",
        **({"API docs": f"{url}/docs"} if settings.docs.enabled else {}),
        "log in": f"POST {url}/api/v1/auth/login",
        "health": f"{url}/health",
    }
    lines = "\n".join(f"{name:<9}  {place}" for name, place in places.items())
    # As `Text`: the address [fd00::1] and a name in brackets would be taken for markup.
    title = Text(f"{settings.app.app_name} {settings.app.app_version}")
    console.print(Panel(Text(lines), title=title, expand=False))

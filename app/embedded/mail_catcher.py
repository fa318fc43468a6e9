"""`MailCatcher`: receives mails in development and tests, and stores the last 100 as files."""

import asyncio
import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.embedded.mail_server import CatchingServer

KEPT = 100
"""Mails that are kept; the oldest ones are deleted."""


class MailCatcher:
    """An SMTP server in this process, started when the first mail is sent.

    Every process of the service has its own, and all of them keep their mails in one folder.

    Args:
        folder: where mails are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server: CatchingServer | None = None
        self._lock = asyncio.Lock()

    @staticmethod
    def is_available() -> bool:
        """Whether the `development` extra is installed."""
        return find_spec("aiosmtpd") is not None

    async def port(self) -> int:
        """The port of 127.0.0.1 at which the server listens."""
        async with self._lock:
            if self._server is None:
                server: CatchingServer = import_module("app.embedded.mail_server").CatchingServer(
                    self._keep
                )
                await server.start()
                self._server = server
            return self._server.port

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def _keep(self, content: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{time_ns():020}-{os.getpid()}"
        part = self.folder / f"{name}.part"
        part.write_bytes(content)
        part.rename(self.folder / f"{name}.eml")  # at once, for those who read
        for old in sorted(self.folder.glob("*.eml"))[:-KEPT]:
            old.unlink(missing_ok=True)

"""The SMTP server of `MailCatcher`, on aiosmtpd. Loaded when it is needed."""

import asyncio
import logging
from collections.abc import Callable

from aiosmtpd.smtp import SMTP, Envelope, Session

MAX_BYTES = 1_048_576
logging.getLogger("mail.log").setLevel(logging.WARNING)  # it logs every command


class CatchingServer:
    """Accepts every mail, from this machine alone.

    Args:
        keep: is given the message as it was received.
    """

    def __init__(self, keep: Callable[[bytes], None]) -> None:
        self._keep = keep
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(
                self,
                loop=loop,
                hostname="localhost",
                data_size_limit=MAX_BYTES,
                enable_SMTPUTF8=True,
            ),
            "127.0.0.1",
            0,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        del server, session
        await asyncio.to_thread(self._keep, envelope.original_content or b"")
        return "250 caught, shown on the admin pages and not delivered"

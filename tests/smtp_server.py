"""An SMTP server for tests: real sockets, aiosmtpd, and the faults that servers have."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class MailServer:
    """What it received, and how it behaves from now on.

    Attributes:
        recipient_reply: refuses recipients, such as `550 5.1.1 <ada@example.com>: no such user`.
        data_reply: refuses contents.
        delay: seconds before it takes a content.
        answer_delay: seconds before it answers to a content that it has taken.
        reply_to: the refusal of a recipient, or an empty text.
        drops: connections that it cuts after the content has arrived and been taken, unanswered.
        logins: user and password that it accepts.
    """

    port: int = 0
    received: list[EmailMessage] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    recipient_reply: str = ""
    data_reply: str = ""
    delay: float = 0.0
    answer_delay: float = 0.0
    drops: int = 0
    logins: tuple[str, str] = ("", "")
    quits: int = 0
    reply_to: Callable[[str], str] = lambda _: ""

    @property
    def ids(self) -> list[str]:
        """The Message-ID of each mail that it took."""
        return [message["Message-ID"] for message in self.received]

    async def has_received(self, number: int = 1) -> bool:
        return len(self.received) >= number

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _: list[str]
    ) -> str:
        if refusal := self.recipient_reply or self.reply_to(address):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  # the same
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        await asyncio.sleep(self.delay)
        if self.data_reply:
            return self.data_reply
        assert isinstance(envelope.content, bytes)
        message: Any = message_from_bytes(envelope.content, policy=SMTPUTF8)
        self.received.append(message)
        self.envelopes.append(envelope)
        if self.drops:
            self.drops -= 1
            assert server.transport is not None
            server.transport.abort()  # type: ignore[attr-defined]  # of a socket
        await asyncio.sleep(self.answer_delay)
        return f"250 2.0.0 Ok: queued as {len(self.received)}"

    async def handle_QUIT(  # noqa: N802  # the same
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.quits += 1
        return "221 Bye"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        sent = data.login.decode(), data.password.decode()
        return AuthResult(success=sent == self.logins, handled=False)


@asynccontextmanager
async def mail_server(
    port: int = 0, *, tls: ssl.SSLContext | None = None, implicit: bool = False, **options: Any
) -> AsyncIterator[MailServer]:
    """A server on a free port of this machine.

    Args:
        port: another one than a free one.
        tls: its certificate.
        implicit: encrypt from the beginning, not by STARTTLS.
        options: of aiosmtpd.
    """
    state = MailServer()
    loop = asyncio.get_running_loop()
    settings: dict[str, Any] = {
        "hostname": "mail.test",
        "authenticator": state.authenticate,
    } | options
    if tls is not None and not implicit:
        settings["tls_context"] = tls

    connections: list[SMTP] = []

    def connection() -> SMTP:
        connections.append(SMTP(state, loop=loop, **settings))
        return connections[-1]

    server = await loop.create_server(connection, "127.0.0.1", port, ssl=tls if implicit else None)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for each in connections:  # none outlives its test
            if each.transport is not None:
                each.transport.abort()  # type: ignore[attr-defined]  # of a socket
        await asyncio.sleep(0)

"""SMTP client: connects, sends one message, and translates SMTP errors."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from email.message import EmailMessage

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from app.core.config import SmtpServer
from app.services.mail.errors import MailDeferredError, MailRefusedError

QUIT_TIMEOUT = 5.0
"""Seconds to wait for the answer to QUIT."""
_MAX_REASON = 300
_ENCRYPTION = {"tls": "TLS", "starttls": "STARTTLS", "none": "unencrypted"}


class SmtpSession:
    """A connection that is ready to send: encrypted and logged in as `MAIL_URL` says."""

    def __init__(self, client: SMTP, server: SmtpServer, deadline: float) -> None:
        self._client = client
        self._server = server
        self._deadline = deadline

    def __str__(self) -> str:
        login = "logged in" if self._server.username else "without login"
        encryption = _ENCRYPTION[self._server.encryption]
        return f"{self._server.host}:{self._server.port}, {encryption}, {login}"

    async def send(self, message: EmailMessage) -> str:
        """Send a message to its recipient.

        Returns:
            The server's reply, which often has the message's name in its queue.

        Raises:
            MailRefusedError: the server refused the recipient or the content for good, or it cannot
                take an address with letters beyond ASCII before the @.
            MailDeferredError: any other failure. After a lost connection or a timeout the server
                may have accepted the message all the same.
        """
        with _failures(self._server):
            try:
                async with asyncio.timeout_at(self._deadline):
                    _, reply = await self._client.send_message(message)
            except TimeoutError:
                self._client.close()  # without QUIT: the server still owes an answer
                raise
        return _clean(reply)


class SmtpSender:
    """Opens SMTP sessions.

    Args:
        server: finds the server, when it is needed first.
        timeout: seconds for connecting and sending together.
        local_hostname: this client's name in its greeting.
        tls: a context that trusts other certificates than the system does.
    """

    def __init__(
        self,
        server: Callable[[], Awaitable[SmtpServer]],
        timeout: float,
        local_hostname: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._timeout = timeout
        self._local_hostname = local_hostname
        self._tls = tls

    @asynccontextmanager
    async def connected(self, timeout: float | None = None) -> AsyncIterator[SmtpSession]:  # noqa: ASYNC109  # counted from the beginning to the last answer
        """Open a session. At the end of the block it is closed; an error while closing is ignored.

        Args:
            timeout: in seconds, instead of the sender's.

        Raises:
            MailDeferredError: the server cannot be reached, or refuses the login.
        """
        deadline = asyncio.get_running_loop().time() + (timeout or self._timeout)
        server = await self._server()
        client = await self._client(server)
        try:
            with _failures(server):
                async with asyncio.timeout_at(deadline):
                    await client.connect()
            yield SmtpSession(client, server, deadline)
        finally:
            if client.is_connected:
                with suppress(SMTPException, OSError):
                    await client.quit(timeout=QUIT_TIMEOUT)
            client.close()

    async def _client(self, server: SmtpServer) -> SMTP:
        if self._tls is None and server.encryption != "none":
            # Reads the system's certificates, which takes a while.
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        return SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password.get_secret_value() if server.password else None,
            local_hostname=self._local_hostname,
            timeout=self._timeout,
            use_tls=server.encryption == "tls",
            start_tls=server.encryption == "starttls",
            tls_context=self._tls,
        )


@contextmanager
def _failures(server: SmtpServer) -> Iterator[None]:
    """Translate the library's errors.

    Only what the server says of the recipient or the content can be for good. A refused login or
    sender is a fault of the settings, which affects all mails until it is corrected.
    """
    try:
        yield
    except SMTPRecipientsRefused as error:
        raise _refusal(error.recipients[0]) from error
    except SMTPDataError as error:
        raise _refusal(error) from error
    except SMTPNotSupported as error:
        raise MailRefusedError(
            "the server takes no addresses with letters beyond ASCII before the @"
        ) from error
    except (SMTPException, OSError, ValueError) as error:  # OSError: timeouts and TLS too
        raise MailDeferredError(*_explained(error, server)) from error


def _refusal(error: SMTPResponseException) -> MailRefusedError | MailDeferredError:
    reason = f"{error.code} {_clean(error.message)}"
    return MailRefusedError(reason) if 500 <= error.code < 600 else MailDeferredError(reason)


def _explained(error: Exception, server: SmtpServer) -> tuple[str, str]:
    """The reason, and what can be done about it."""
    address = f"{server.host}:{server.port}"
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        reason = f"the certificate of {address} is not trusted: {cause.verify_message}"
        return (
            reason,
            "is it the server's name in MAIL_URL? SSL_CERT_FILE names further authorities",
        )
    if isinstance(cause, ssl.SSLError):
        return f"{address} does not begin with TLS", "smtp:// encrypts by STARTTLS instead"
    if isinstance(error, SMTPAuthenticationError):
        reason = f"{address} refused the login: {error.code} {_clean(error.message)}"
        return reason, "are user and password in MAIL_URL right, and percent-encoded?"
    if isinstance(error, SMTPResponseException):
        reason = f"{address} answered {error.code} {_clean(error.message)}"
        return reason, "does the server accept this sender and this client?"
    if isinstance(error, TimeoutError):
        return f"{address} did not answer in time", "is the port right, and open in the firewall?"
    if isinstance(error, OSError):
        return f"{address} cannot be reached: {_clean(str(cause or error))}", "is MAIL_URL right?"
    if "STARTTLS" in str(error):
        return f"{address} offers no STARTTLS", (
            "use smtps://, or where the network is trusted, end MAIL_URL with ?starttls=off"
        )
    return f"{address}: {_clean(str(error))}", ""


def _clean(text: str) -> str:
    """A server's answer on one line, without email addresses."""
    line = " ".join("".join(filter(_is_shown, text)).split())
    return re.sub(r"<?[^\s<>@]+@[^\s<>@]+>?", "(address)", line)[:_MAX_REASON]


def _is_shown(character: str) -> bool:
    return character.isprintable() or character.isspace()

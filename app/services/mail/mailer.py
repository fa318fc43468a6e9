"""`Mailer`: renders mails and opens SMTP sessions; one for the process."""

from email.headerregistry import Address
from email.message import EmailMessage
from uuid import UUID

from app.core.config import Settings, SmtpServer, mailbox, smtp_server
from app.core.exceptions import NotFoundException
from app.embedded.mail_catcher import MailCatcher
from app.schemas.background.mail import MailContext
from app.services.mail.errors import MailRefusedError
from app.services.mail.kinds import KINDS
from app.services.mail.message import compose
from app.services.mail.rendering import MailContent, MailTemplates
from app.services.mail.smtp import SmtpSender

CHECK_TIMEOUT = 10.0
"""Seconds that `backend doctor` waits for the server."""
NOT_SET = "MAIL_URL is not set"


class Mailer:
    """Renders mails, and knows the server and the sender.

    Args:
        settings: of the service.
        catcher: takes the mails where `MAIL_URL` is not set; None in production.
    """

    def __init__(self, settings: Settings, catcher: MailCatcher | None) -> None:
        self._url = settings.mail.url
        self._catcher = catcher
        self._templates = MailTemplates(
            settings.app.app_name, settings.link_base_url, settings.mail.templates
        )
        self._from = _sender(settings)
        self.sender = SmtpSender(self._server, settings.mail.timeout, self._from.domain)

    @property
    def is_available(self) -> bool:
        """Whether mails are sent or caught. In production without `MAIL_URL` they fail."""
        return self._url is not None or self._catcher is not None

    @property
    def catches(self) -> bool:
        """Whether mails are caught and not delivered."""
        return self._url is None and self._catcher is not None

    def message(self, mail_id: UUID, kind: str, context: MailContext) -> EmailMessage:
        """
        Raises:
            MailRefusedError: see `compose`.
            jinja2.TemplateError: see `MailTemplates.render`.
        """
        content = self._templates.render(kind, **context.values)
        return compose(content, mail_id, self._from, context.to)

    def preview(self, kind: str) -> MailContent:
        """A kind of mail with the values of its example.

        Raises:
            NotFoundException: there is no such kind.
        """
        if kind not in KINDS:
            raise NotFoundException
        return self._templates.render(kind, **KINDS[kind].example)

    async def check(self) -> str:
        """Connect and log in, without sending; returns the connection in words.

        Raises:
            MailError: that fails.
        """
        async with self.sender.connected(CHECK_TIMEOUT) as session:
            return str(session)

    async def _server(self) -> SmtpServer:
        if self._url is not None:
            return smtp_server(self._url.get_secret_value())
        if self._catcher is not None:
            return SmtpServer("127.0.0.1", await self._catcher.port(), "none")
        raise MailRefusedError(NOT_SET)


def _sender(settings: Settings) -> Address:
    """The sender; without a name of its own it has the service's."""
    sender = mailbox(settings.mail.sender or "no-reply@localhost")
    if sender.display_name:
        return sender
    return Address(settings.app.app_name, sender.username, sender.domain)

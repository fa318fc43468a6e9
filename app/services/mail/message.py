"""Composition of messages: headers, addresses, and the two forms of the content."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from uuid import UUID

from app.core.text.normalisation import normalise_name, smtp_address
from app.services.mail.errors import MailRefusedError
from app.services.mail.rendering import MailContent


def compose(content: MailContent, mail_id: UUID, sender: Address, recipient: str) -> EmailMessage:
    """Build a message to one recipient.

    Its Message-ID follows from `mail_id`: it is the same at each attempt, so that servers and
    mailboxes recognise a repeated one.

    Raises:
        MailRefusedError: the recipient is no email address, or the subject has a control
            character, which could begin another header.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    try:
        local, _, domain = smtp_address(recipient).rpartition("@")
        message["To"] = Address(username=local, domain=domain)
    except ValueError:
        raise MailRefusedError("the recipient is no email address") from None
    try:
        message["Subject"] = normalise_name(content.subject)
    except ValueError:
        raise MailRefusedError("the subject has a control character") from None
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = f"<{mail_id}@{sender.domain}>"
    # Programs that answer mails, such as out-of-office notices, leave these two alone.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    # Quoted-printable passes through servers without 8BITMIME unchanged.
    message.set_content(content.text, cte="quoted-printable")
    message.add_alternative(content.html, subtype="html", cte="quoted-printable")
    return message

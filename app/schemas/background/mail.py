"""Payloads of mail jobs, and the states of a mail."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from pydantic import Field

from app.core.jobs import JobPayload


class SendMail(JobPayload):
    """Send a mail.

    Attributes:
        id: of the mail, from which its Message-ID follows.
        mail: the kind of mail, see `app/services/mail/kinds.py`.
        user_id: whom it is for; the address is read when it is sent.
        to: the recipient, where it is no user's current address.
        data: what else the kind needs, and no secret: links are made when the mail is sent.
    """

    kind = "mail"
    id: UUID = Field(default_factory=uuid4)
    mail: str
    user_id: int | None = None
    to: str | None = None
    data: dict[str, str] = Field(default_factory=dict)


class PurgeMails(JobPayload):
    """Delete the records of mails after `MAIL_RETENTION`."""

    kind = "purge-mails"


@dataclass(frozen=True, slots=True)
class MailContext:
    """The recipient of a mail, and the values for its template."""

    to: str
    values: Mapping[str, Any]


class MailState(StrEnum):
    """State of a mail. `deferred` is retried; `dropped` has no recipient any more."""

    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    DROPPED = "dropped"

"""Registry of mail kinds: name, template, example, and the function that loads the values."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.schemas.mail import SendMail


@dataclass(frozen=True, slots=True)
class MailContext:
    """The recipient of a mail, and the values for its template."""

    to: str
    values: Mapping[str, Any]


ContextLoader = Callable[[SendMail, AsyncSession, Settings], Awaitable[MailContext | None]]


@dataclass(frozen=True, slots=True)
class MailKind:
    """A kind of mail.

    Attributes:
        name: permanent; the template is `templates/<name>.j2`.
        load_context: called at each attempt, in a transaction that is committed before the mail is
            sent: secrets are made here, and stored as hashes. None where there is no reason any
            more to send the mail: its user is gone.
        example: values for a preview.
    """

    name: str
    load_context: ContextLoader
    example: Mapping[str, Any]


async def _test_mail(job: SendMail, db: AsyncSession, settings: Settings) -> MailContext | None:  # noqa: ARG001  # it needs no database
    return MailContext(job.to, job.data) if job.to else None


KINDS: Mapping[str, MailKind] = {
    kind.name: kind
    for kind in (
        MailKind("test-mail", _test_mail, example={"requested_at": "27 November 2026, 14:05 UTC"}),
    )
}

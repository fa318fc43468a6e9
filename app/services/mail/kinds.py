"""Registry of mail kinds: name, template, example, and the function that loads the values."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.schemas.background.mail import MailContext, SendMail
from app.services.account import mail_contexts

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


_MOMENT = "27 November 2026, 14:05 UTC"
_RESET = {
    "lifetime": "30 minutes",
    "link": "https://app.example.com/account/password-reset?token=3q2-7wXkq0y1m5f0c0m7cY2l8mT1o0b6rK9z",
}
_VERIFICATION = _RESET["link"].replace("password-reset", "email-verification")
_DELETION = {
    "delete_after": _MOMENT,
    "link": "https://app.example.com/account/deletion-undo?token=3q2-7wXkq0y1m5f0c0m7cY2l8mT1o0b6rK9z",
}
_INVITATION = {
    "inviter": "Ada Lovelace",
    "has_account": False,
    "days": 7,
    "link": "https://app.example.com/account/invitation?token=3q2-7wXkq0y1m5f0c0m7cY2l8mT1o0b6rK9z",
}
_EMAIL_CHANGE = _RESET["link"].replace("password-reset", "email-change")
KINDS: Mapping[str, MailKind] = {
    kind.name: kind
    for kind in (
        MailKind("test-mail", _test_mail, example={"requested_at": _MOMENT}),
        MailKind("password-reset", mail_contexts.password_reset, example=_RESET),
        MailKind("already-registered", mail_contexts.password_reset, example=_RESET),
        MailKind(
            "email-verification",
            mail_contexts.email_verification,
            example={"link": _VERIFICATION, "lifetime": "24 hours"},
        ),
        MailKind("account-deletion", mail_contexts.account_deletion, example=_DELETION),
        MailKind("invitation", mail_contexts.invitation, example=_INVITATION),
        MailKind(
            "email-change",
            mail_contexts.email_change,
            example={"link": _EMAIL_CHANGE, "lifetime": "24 hours"},
        ),
        MailKind(
            "email-changed",
            mail_contexts.email_changed,
            example={
                "at": _MOMENT,
                "link": _EMAIL_CHANGE.replace("email-change", "email-change-undo"),
                "lifetime": "72 hours",
            },
        ),
        MailKind("password-changed", mail_contexts.notice, example={"at": _MOMENT, "keys": "2"}),
        MailKind(
            "api-key-made",
            mail_contexts.notice,
            example={"name": "Nightly export", "at": _MOMENT},
        ),
        MailKind("impersonation", mail_contexts.notice, example={"at": _MOMENT}),
        MailKind(
            "new-login",
            mail_contexts.notice,
            example={"device": "Firefox on Windows", "address": "203.0.113.7", "at": _MOMENT},
        ),
        MailKind(
            "mfa-changed",
            mail_contexts.notice,
            example={"change": "The authenticator app was removed", "at": _MOMENT},
        ),
    )
}

"""What the mails about an account contain. Each function runs at every attempt to send one, in a
transaction that is committed before it is sent: see `app/services/mail/kinds.py`."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.repositories.invitations import InvitationRepository
from app.repositories.user.repository import UserRepository
from app.schemas.account import Purpose
from app.schemas.mail import MailContext, SendMail
from app.services.account.links import link
from app.services.account.tokens import POLICIES, OneTimeTokens

COOLDOWN = timedelta(minutes=1)
"""Between two links of one purpose to one user. Requests in between are not answered by a mail."""
REQUEST_LIFETIME = timedelta(hours=1)
"""Time after which a request of a link is not answered any more, where no mail could be sent."""


async def password_reset(job: SendMail, db: AsyncSession, settings: Settings) -> MailContext | None:
    tokens = OneTimeTokens(db, settings.auth)
    if job.to is not None and not await tokens.is_known(job.id):
        await _issue_for_recovery(job, db, tokens)
    found = await tokens.for_mail(job.id, Purpose.PASSWORD_RESET)
    if found is None:
        return None
    token, row = found
    minutes = POLICIES[Purpose.PASSWORD_RESET].lifetime // timedelta(minutes=1)
    url = link(settings, Purpose.PASSWORD_RESET, token)
    return MailContext(row.address, {"link": url, "minutes": minutes})


async def _issue_for_recovery(job: SendMail, db: AsyncSession, tokens: OneTimeTokens) -> None:
    """Issue a token to the user with the email that an anonymous client sent, if there is one. It
    is sent to the user's address as it is stored, never to the one that was typed."""
    requested_at = datetime.fromisoformat(job.data["requested_at"])
    now = datetime.now(UTC)
    users = UserRepository(db)
    found = await users.by_email(job.to or "")
    if found is None or requested_at < now - REQUEST_LIFETIME:
        return
    user = await users.get(found.id, lock=True)
    if user is None or not user.is_active:
        return
    if not await tokens.issued_since(user.id, Purpose.PASSWORD_RESET, now - COOLDOWN):
        await tokens.issue(Purpose.PASSWORD_RESET, user, user.email, job.id)


async def invitation(job: SendMail, db: AsyncSession, settings: Settings) -> MailContext | None:
    """A user who has the address already learns that somebody invited them, and gets no link: the
    request does not look for one."""
    found = await OneTimeTokens(db, settings.auth).for_mail(job.id, Purpose.INVITATION)
    sent = await InvitationRepository(db).by_token(job.id)
    if found is None or sent is None:
        return None
    token, row = found
    sent.expires_at = row.expires_at
    users = UserRepository(db)
    inviter = await users.get(sent.invited_by)
    url = link(settings, Purpose.INVITATION, token)
    has_account = await users.by_email(sent.email) is not None
    values = {
        "inviter": inviter and (inviter.full_name or inviter.username),
        "has_account": has_account,
        "days": POLICIES[Purpose.INVITATION].lifetime.days,
        "link": settings.link_base_url if has_account else url,
    }
    return MailContext(sent.email, values)


async def notice(job: SendMail, db: AsyncSession, settings: Settings) -> MailContext | None:  # noqa: ARG001  # all of it is in the job
    """A notice has no link with a secret: it tells what to do."""
    return None if job.to is None else MailContext(job.to, job.data)

"""What the mails about an account contain. Each function runs at every attempt to send one, in a
transaction that is committed before it is sent: see `app/services/mail/kinds.py`."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.repositories.account_deletions import AccountDeletionRepository
from app.repositories.background.mail import MailRepository
from app.repositories.invitations import InvitationRepository
from app.repositories.user.repository import UserRepository
from app.schemas.account import Purpose
from app.schemas.background.mail import MailContext, SendMail
from app.services.account.links import link
from app.services.account.notices import moment_in_words
from app.services.account.tokens import POLICIES, OneTimeTokens

NOTICES = 20
REQUEST_LIFETIME = timedelta(hours=1)
"""Time after which a request of a link is not answered any more, where no mail could be sent."""


async def password_reset(job: SendMail, db: AsyncSession, settings: Settings) -> MailContext | None:
    """Also for a sign-up with an email that has an account: its owner gets this link, with other
    words."""
    tokens = OneTimeTokens(db, settings.auth)
    if job.to is not None and not await tokens.is_known(job.id):
        await _issue_for_recovery(job, db, tokens)
    return await _with_link(job, tokens, settings, Purpose.PASSWORD_RESET)


async def email_verification(
    job: SendMail, db: AsyncSession, settings: Settings
) -> MailContext | None:
    tokens, purpose = OneTimeTokens(db, settings.auth), Purpose.EMAIL_VERIFICATION
    if not await tokens.is_known(job.id):
        user = await UserRepository(db).get(job.user_id or 0, lock=True)
        if user is None or not user.is_active or user.email_verified_at is not None:
            return None
        if not await tokens.is_cooling_down(user.id, purpose):
            await tokens.issue(purpose, user, user.email, job.id)
    return await _with_link(job, tokens, settings, purpose)


async def email_change(job: SendMail, db: AsyncSession, settings: Settings) -> MailContext | None:
    """To the new address, unless it has an account."""
    tokens = OneTimeTokens(db, settings.auth)
    context = await _with_link(job, tokens, settings, Purpose.EMAIL_CHANGE)
    if context is None or await UserRepository(db).by_email(context.to) is not None:
        return None
    return context


async def email_changed(job: SendMail, db: AsyncSession, settings: Settings) -> MailContext | None:
    """To the old address, with a link to undo the change; without, where an administrator made
    it."""
    if job.to is not None:
        return MailContext(job.to, job.data)
    tokens = OneTimeTokens(db, settings.auth)
    context = await _with_link(job, tokens, settings, Purpose.EMAIL_CHANGE_UNDO)
    return None if context is None else MailContext(context.to, {**job.data, **context.values})


async def _with_link(
    job: SendMail, tokens: OneTimeTokens, settings: Settings, purpose: Purpose
) -> MailContext | None:
    found = await tokens.for_mail(job.id, purpose)
    if found is None:
        return None
    token, row = found
    lifetime = lifetime_in_words(POLICIES[purpose].lifetime)
    values = {"link": link(settings, purpose, token), "lifetime": lifetime}
    return MailContext(row.address, values)


def lifetime_in_words(lifetime: timedelta) -> str:
    """`30 minutes`, `24 hours`, `7 days`."""
    minutes = lifetime // timedelta(minutes=1)
    if minutes < 60:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes <= 72 * 60 else f"{minutes // 1440} days"


async def _issue_for_recovery(job: SendMail, db: AsyncSession, tokens: OneTimeTokens) -> None:
    """Issue a token to the user with the email that an anonymous client sent, if there is one. It
    is sent to the user's address as it is stored, never to the one that was typed."""
    requested_at = datetime.fromisoformat(job.data["requested_at"])
    users = UserRepository(db)
    found = await users.by_email(job.to or "")
    if found is None or requested_at < datetime.now(UTC) - REQUEST_LIFETIME:
        return
    user = await users.get(found.id, lock=True)
    if user is None or not user.is_active:
        return
    if not await tokens.is_cooling_down(user.id, Purpose.PASSWORD_RESET):
        await tokens.issue(Purpose.PASSWORD_RESET, user, user.email, job.id)


async def invitation(job: SendMail, db: AsyncSession, settings: Settings) -> MailContext | None:
    """A user who has the address already learns of the invitation, and gets no link: the
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


async def account_deletion(
    job: SendMail, db: AsyncSession, settings: Settings
) -> MailContext | None:
    found = await OneTimeTokens(db, settings.auth).for_mail(job.id, Purpose.DELETION_UNDO)
    deletion = await AccountDeletionRepository(db).of_user(job.user_id or 0)
    if found is None or deletion is None:
        return None
    token, row = found
    url = link(settings, Purpose.DELETION_UNDO, token)
    until = moment_in_words(deletion.delete_after.astimezone(UTC))
    return MailContext(row.address, {"link": url, "delete_after": until})


async def notice(job: SendMail, db: AsyncSession, settings: Settings) -> MailContext | None:  # noqa: ARG001  # all of it is in the job
    """A notice has no link with a secret: it tells what to do. Not more than `NOTICES` an hour of a
    kind: anybody can make an account with another's address, and then API keys without end."""
    since = datetime.now(UTC) - timedelta(hours=1)
    mails = MailRepository(db)
    if job.user_id and await mails.has_sent(job.user_id, job.mail, since, NOTICES):
        return None
    return None if job.to is None else MailContext(job.to, job.data)

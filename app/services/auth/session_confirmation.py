"""Confirmations of sessions: recorded, and required for grave actions."""

from datetime import UTC, datetime, timedelta

import structlog

from app.core.exceptions import ConfirmationRequiredException, ImpersonationException
from app.repositories.session import SessionRepository
from app.schemas.access.session import Principal
from app.schemas.audit import Action, Target
from app.services.audit.recorder import AuditRecorder

log = structlog.get_logger("app.security")

VALID_FOR = timedelta(minutes=10)
"""Time after a login, or a confirmation, in which grave actions are allowed."""


async def require_confirmation(sessions: SessionRepository, caller: Principal) -> None:
    """An API key needs none: it was confirmed when it was made.

    Raises:
        ImpersonationException: a superuser acts as the caller, which no confirmation allows.
        ConfirmationRequiredException: the caller neither logged in nor confirmed lately.
    """
    if caller.impersonator is not None:
        raise ImpersonationException
    if caller.key is None and not await sessions.is_confirmed(caller.session_id, VALID_FOR):
        raise ConfirmationRequiredException


async def record_confirmation(
    sessions: SessionRepository, audit: AuditRecorder, caller: Principal, method: str
) -> datetime:
    """Confirm the caller's session in the caller's transaction; until when it counts."""
    await sessions.confirm(caller.session_id, method)
    target = Target("session", caller.session_id)
    audit.record(Action.CONFIRMED, target, user_id=caller.user_id, after={"method": method})
    log.info("confirmed", user=caller.user_id, session=str(caller.session_id), method=method)
    return datetime.now(UTC) + VALID_FOR

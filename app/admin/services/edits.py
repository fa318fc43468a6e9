"""`naming_who`: tells who changed meanwhile what a form changes too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.admin.formats import Formats
from app.admin.languages import ENGLISH
from app.admin.translation import N_, translation_of
from app.core.exceptions import ChangedMeanwhileException
from app.core.permissions import Permission
from app.schemas.access.session import Principal
from app.schemas.audit import AuditEventSchema, Target
from app.services.audit_log.service import AuditService


@asynccontextmanager
async def naming_who(audit: AuditService, target: Target, viewer: Principal) -> AsyncIterator[None]:
    """Add to a conflict who changed each field, and when, as the audit trail has it.

    Raises:
        ChangedMeanwhileException: the block did.
    """
    try:
        yield
    except ChangedMeanwhileException as conflict:
        events = await audit.last_changes(target, conflict.values.keys())
        reasons = {field: _reason(event, viewer) for field, event in events.items()}
        raise ChangedMeanwhileException(conflict.values, reasons) from conflict


def _reason(event: AuditEventSchema, viewer: Principal) -> str:
    """Users who may not read others are not told the name of another one."""
    ago_words = Formats(translation_of(ENGLISH)).ago(event.created_at)
    if event.actor == f"user:{viewer.user_id}":
        return N_(f"changed by you {ago_words}")
    if not viewer.may(Permission.USERS_READ):
        return N_(f"changed by an administrator {ago_words}")
    name = event.actor_name or event.actor
    return N_(f"changed by {name} {ago_words}")

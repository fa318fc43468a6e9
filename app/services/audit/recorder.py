"""`AuditRecorder`: records audit events in the transaction of what they tell."""

from typing import Any

from asgi_correlation_id import correlation_id
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.origin import Origin, current_origin
from app.core.telemetry.lazy_tracing import trace_id
from app.repositories.audit import WaitingEvents
from app.schemas.audit import Action, Facts, Outcome, Target
from app.services.audit.redaction import changes, storable


class AuditRecorder:
    """Records events of a session's transactions. Every `BaseService` has one, as `audit`.

    Args:
        db: the service's session.
    """

    def __init__(self, db: AsyncSession) -> None:
        self.waiting = WaitingEvents(db)

    def record(
        self,
        action: Action,
        target: Target | None = None,
        *,
        user_id: int | None = None,
        before: Facts | None = None,
        after: Facts | None = None,
        outcome: Outcome = "success",
        by: Origin | None = None,
    ) -> None:
        """Record an event: it is stored if the transaction is committed, by one statement with the
        other events of it.

        Args:
            action: what happened.
            target: what it happened to.
            user_id: the user whose account it concerns; of a target `user` this is its id.
            before: the target's fields as they were, all or some.
            after: the same fields as they are now; only those that differ are stored, or all where
                only one of the two is given. Values of secrets are replaced.
            outcome: of what changed something and was refused all the same; see `refuse`.
            by: who acts, where it is not the current origin: a user who logs in.

        Raises:
            RuntimeError: outside `BaseService.transaction`, where the event would be lost.
        """
        self.waiting.add(
            event_of(
                action,
                target,
                user_id=user_id,
                before=before,
                after=after,
                outcome=outcome,
                by=by,
            )
        )

    def refuse(
        self,
        action: Action,
        target: Target | None = None,
        *,
        user_id: int | None = None,
        after: Facts | None = None,
        outcome: Outcome = "failed",
    ) -> None:
        """Record a refusal, such as a failed login, outside any transaction. It is written within
        about a second; of a flood some are written, and the others counted: see `Refusals`."""
        event = event_of(action, target, user_id=user_id, after=after, outcome=outcome)
        current_origin().refusals.append(event)


def event_of(
    action: Action,
    target: Target | None = None,
    *,
    user_id: int | None = None,
    before: Facts | None = None,
    after: Facts | None = None,
    outcome: Outcome = "success",
    by: Origin | None = None,
    count: int = 1,
) -> dict[str, Any]:
    """An event by column: see `AuditRecorder.record`."""
    origin = by or current_origin()
    if user_id is None and target is not None and target.kind == "user":
        user_id = int(str(target.id))
    old, new = changes(before, after)
    return {
        "action": action.value,
        "outcome": outcome,
        "actor": storable(origin.actor, 80),
        "actor_name": storable(origin.name, 254),
        "impersonator_id": origin.impersonator_id,
        "target": None if target is None else storable(str(target), 80),
        "user_id": user_id,
        "address": storable(origin.address, 45),
        "request_id": storable(correlation_id.get(), 64),
        "trace_id": trace_id(),
        "count": count,
        "before": old,
        "after": new,
    }

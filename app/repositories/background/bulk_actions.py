"""Queries on actions on many users."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, func, insert, literal, select, update

from app.models import User
from app.models.background.bulk_action import BulkAction, BulkActionUser
from app.repositories.base import BaseRepository
from app.repositories.user.lists import select_users
from app.schemas.background.bulk_action import BulkOutcome, UserAction
from app.schemas.user_list import UserFilters


class RunningBulkAction(NamedTuple):
    """An action of which a worker makes attempt number `run`, from behind `last_id` on."""

    id: UUID
    run: int
    user_id: int
    session_id: UUID
    action: UserAction
    last_id: int


class BulkActionRepository(BaseRepository[BulkAction]):
    model = BulkAction
    unique = {"uq_bulk_actions_open": "action"}  # noqa: RUF012  # declared ClassVar in the base

    async def newest(self, user_id: int | None, limit: int) -> Sequence[BulkAction]:
        """The last ones of an admin, or of all of them, newest first."""
        query = select(BulkAction).order_by(BulkAction.created_at.desc(), BulkAction.id.desc())
        if user_id is not None:
            query = query.where(BulkAction.user_id == user_id)
        return (await self.db.scalars(query.limit(limit))).all()

    async def add_matching(
        self, bulk_action_id: UUID, filters: UserFilters, max_id: int, limit: int
    ) -> int:
        """Store the users of a list up to an id, at most `limit`; their number."""
        return await self._add_users(bulk_action_id, _matching(filters, max_id, limit))

    async def count_matching(self, filters: UserFilters, max_id: int, limit: int) -> int:
        """Their number; none are stored."""
        ids = _matching(filters, max_id, limit).with_only_columns(User.id).subquery()
        return await self.db.scalar(select(func.count()).select_from(ids)) or 0

    async def add_existing(self, bulk_action_id: UUID, ids: Sequence[int]) -> int:
        """Store those of these users who exist; their number."""
        return await self._add_users(bulk_action_id, select(User).where(User.id.in_(ids)))

    async def add_changed(self, bulk_action_id: UUID, undo_of: UUID, *, is_active: bool) -> int:
        """Store the users whom another action changed, and who were not changed since; their
        number."""
        is_same = User.id == BulkActionUser.user_id, User.updated_at == BulkActionUser.changed_at
        state = User.is_active if is_active else ~User.is_active
        changed = select(User).join(BulkActionUser, and_(*is_same)).where(state)
        return await self._add_users(
            bulk_action_id, changed.where(BulkActionUser.bulk_action_id == undo_of)
        )

    async def _add_users(self, bulk_action_id: UUID, users: Select[Any]) -> int:
        ids = users.with_only_columns(literal(bulk_action_id), User.id)
        columns = [BulkActionUser.bulk_action_id, BulkActionUser.user_id]
        count = await self.changed(insert(BulkActionUser).from_select(columns, ids))
        total = update(BulkAction).where(BulkAction.id == bulk_action_id).values(total=count)
        await self.changed(total)
        return count

    async def begin_run(self, bulk_action_id: UUID) -> RunningBulkAction | None:
        """Begin the next attempt, which ends any other; None where there is nothing to do."""
        begun = (
            update(BulkAction)
            .where(BulkAction.id == bulk_action_id, BulkAction.outcome.is_(None))
            .values(run=BulkAction.run + 1)
            .returning(
                *(BulkAction.id, BulkAction.run, BulkAction.user_id, BulkAction.session_id),
                *(BulkAction.action, BulkAction.last_id),
            )
        )
        row = (await self.db.execute(begun)).one_or_none()
        return None if row is None else RunningBulkAction(*row)

    async def next_users(self, bulk_action_id: UUID, last_id: int, limit: int) -> Sequence[int]:
        """The ids of the next users, in order."""
        query = select(BulkActionUser.user_id).where(
            BulkActionUser.bulk_action_id == bulk_action_id, BulkActionUser.user_id > last_id
        )
        return (await self.db.scalars(query.order_by(BulkActionUser.user_id).limit(limit))).all()

    async def advance(self, running: RunningBulkAction, user_id: int, *, is_changed: bool) -> bool:
        """Record that a user is done with; False where this attempt was ended."""
        values = {
            "last_id": user_id,
            "done": BulkAction.done + 1,
            "changed": BulkAction.changed + int(is_changed),
        }
        if (
            await self.changed(update(BulkAction).where(*_is_current(running)).values(**values))
            != 1
        ):
            return False
        if is_changed:
            row = update(BulkActionUser).where(*_is_row(running, user_id))
            await self.changed(row.values(changed_at=func.now()))
        return True

    async def refuse(
        self, running: RunningBulkAction, user_id: int, refusal: str, limit: int
    ) -> bool:
        """Record that a user was not changed, with the reason for the first `limit` of them; False
        where this attempt was ended."""
        values = {
            "last_id": user_id,
            "done": BulkAction.done + 1,
            "refused": BulkAction.refused + 1,
        }
        counted = update(BulkAction).where(*_is_current(running)).values(**values)
        refused = await self.db.scalar(counted.returning(BulkAction.refused))
        if refused is None:
            return False
        if refused <= limit:
            row = update(BulkActionUser).where(*_is_row(running, user_id))
            await self.changed(row.values(refusal=refusal[:300]))
        return True

    async def refusals(self, bulk_action_id: UUID) -> Sequence[Any]:
        """The users who were not changed, in order: user_id, username, refusal."""
        query = (
            select(BulkActionUser.user_id, User.username, BulkActionUser.refusal)
            .outerjoin(User, User.id == BulkActionUser.user_id)
            .where(BulkActionUser.bulk_action_id == bulk_action_id)
            .where(BulkActionUser.refusal.is_not(None))
        )
        return (await self.db.execute(query.order_by(BulkActionUser.user_id))).all()

    async def finish(
        self, running: RunningBulkAction, outcome: BulkOutcome, reason: str | None = None
    ) -> bool:
        """Record how it ended; False where this attempt was ended."""
        ended = update(BulkAction).where(*_is_current(running))
        values = {"outcome": outcome, "reason": reason, "ended_at": func.now()}
        return await self.changed(ended.values(**values)) == 1

    async def stop(self, bulk_action_id: UUID) -> bool:
        """End it where it is; False where it has ended."""
        stopped = update(BulkAction).where(
            BulkAction.id == bulk_action_id, BulkAction.outcome.is_(None)
        )
        values = {"outcome": "cancelled", "ended_at": func.now()}
        return await self.changed(stopped.values(**values)) == 1

    async def delete_before(self, moment: datetime, limit: int) -> int:
        """Delete those begun before `moment`, at most `limit`; their number."""
        return await self.delete_some(BulkAction.created_at < moment, limit=limit)


class BulkActionUserRepository(BaseRepository[BulkActionUser]):
    model = BulkActionUser

    async def delete_rest(self, bulk_action_id: UUID) -> None:
        """Delete the users of an ended action of whom nothing is to be told."""
        rest = BulkActionUser.changed_at.is_(None), BulkActionUser.refusal.is_(None)
        which = BulkActionUser.bulk_action_id == bulk_action_id
        await self.changed(delete(BulkActionUser).where(which, *rest))

    async def delete_before(self, moment: datetime, limit: int) -> int:
        """Delete the users of actions begun before `moment`, at most `limit`; their number."""
        old = select(BulkAction.id).where(BulkAction.created_at < moment)
        return await self.delete_some(BulkActionUser.bulk_action_id.in_(old), limit=limit)


def _matching(filters: UserFilters, max_id: int, limit: int) -> Select[Any]:
    return select_users(filters).order_by(None).where(User.id <= max_id).limit(limit)


def _is_current(running: RunningBulkAction) -> tuple[ColumnElement[bool], ...]:
    return BulkAction.id == running.id, BulkAction.run == running.run, BulkAction.outcome.is_(None)


def _is_row(running: RunningBulkAction, user_id: int) -> tuple[ColumnElement[bool], ...]:
    return BulkActionUser.bulk_action_id == running.id, BulkActionUser.user_id == user_id

"""`BulkActionService`: begins, shows, stops, undoes and purges actions on many users."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import ConflictException, ImpersonationException, NotFoundException
from app.models.background.bulk_action import BulkAction
from app.repositories.background.bulk_actions import (
    BulkActionRepository,
    BulkActionUserRepository,
)
from app.repositories.background.job_list import JobListRepository
from app.repositories.background.jobs import JobQueue
from app.repositories.user.repository import UserRepository
from app.schemas.access.session import Principal
from app.schemas.audit import Action, Facts, Target
from app.schemas.background.bulk_action import (
    ApplyBulkAction,
    BulkActionSummary,
    Refusal,
    UserAction,
)
from app.schemas.background.job_list import JobSummary
from app.schemas.user_list import UserFilters
from app.services.base import BaseService

RETENTION = timedelta(days=7)
"""From the beginning of an action until its record is deleted; it can be undone until then."""
MAX_USERS = 100_000
"""Users of one action: a worker changes as many within an hour, 10 to 30 ms for each."""
SHOWN = 50
"""Actions in the list."""
_GROWN = "More users match by now than you confirmed. Look at the number again"
_OPEN = "Another action of yours on many users has not ended: wait for it, or stop it"

log = structlog.get_logger("app.bulk_actions")
AddUsers = Callable[[UUID], Awaitable[int]]


class BulkActionService(BaseService):
    """Actions on many users. Admins see their own, and superusers those of all admins.

    The users are fixed when an action begins: who stops matching its filter afterwards is changed
    all the same, as it was confirmed, and who begins to match is not.
    """

    def __init__(self, db: AsyncSession) -> None:
        super().__init__(db)
        self.records = BulkActionRepository(db)
        self.record_users = BulkActionUserRepository(db)
        self.users = UserRepository(db)
        self.jobs = JobListRepository(db)
        self.queue = JobQueue(db)

    async def last_id(self) -> int:
        """The newest user. An action that is confirmed now leaves out those created later."""
        return await self.users.last_id()

    async def count(self, filters: UserFilters, max_id: int) -> int:
        """The users of a list up to an id, exactly; above `MAX_USERS`, one more than that."""
        return await self.records.count_matching(filters, max_id, MAX_USERS + 1)

    async def begin_filtered(
        self,
        action: UserAction,
        filters: UserFilters,
        max_id: int,
        confirmed: int,
        admin: Principal,
    ) -> UUID:
        """Have a worker apply an action to all users of a list; the id of the record.

        Args:
            action: for which the admin has the permission.
            filters: of the list.
            max_id: the newest user when the admin confirmed.
            confirmed: the number of users that the admin confirmed.
            admin: who begins it.

        Raises:
            ConflictException: no users match, more than were confirmed, or too many; or another
                action of the admin has not ended.
            ImpersonationException: a superuser acts as the admin. The job would outlive that.
        """

        async def add(record_id: UUID) -> int:
            count = await self.records.add_matching(record_id, filters, max_id, MAX_USERS + 1)
            if count > MAX_USERS:
                raise ConflictException(
                    f"More than {MAX_USERS:,} users match: filter the list, and do it in parts"
                )
            if count > confirmed:
                raise ConflictException(_GROWN)
            return count

        facts = filters.model_dump(mode="json", exclude_defaults=True)
        return await self._begin(action, admin, add, {"filters": facts})

    async def begin_selected(
        self, action: UserAction, ids: Sequence[int], admin: Principal
    ) -> UUID:
        """The same for users by their ids.

        Raises:
            ConflictException: none of them exists, or another action has not ended.
            ImpersonationException: see `begin_filtered`.
        """
        return await self._begin(
            action, admin, lambda record_id: self.records.add_existing(record_id, ids)
        )

    async def undo(self, record_id: UUID, admin: Principal) -> UUID:
        """Have a worker undo an activation or deactivation, for the users whom it changed and who
        were not changed since; the id of the new record.

        Raises:
            ConflictException: it has not ended, cannot be undone, or nobody is left to undo it
                for; or another action of the admin has not ended.
            NotFoundException: see `get`.
            ImpersonationException: see `begin_filtered`.
        """
        undone = await self.get(record_id, admin)
        if undone.opposite is None:
            raise ConflictException("There is nothing to undo")
        is_active = undone.action == "activate"
        return await self._begin(
            undone.opposite,
            admin,
            lambda new_id: self.records.add_changed(new_id, record_id, is_active=is_active),
            {"undo_of": str(record_id)},
            undo_of=record_id,
        )

    async def _begin(
        self,
        action: UserAction,
        admin: Principal,
        add_users: AddUsers,
        facts: Facts | None = None,
        undo_of: UUID | None = None,
    ) -> UUID:
        if admin.impersonator is not None:
            raise ImpersonationException
        record_id = uuid4()
        async with self.transaction():
            job_id = await self.queue.enqueue(ApplyBulkAction(bulk_action_id=record_id))
            assert job_id is not None  # noqa: S101  # it is, without a unique key; for mypy
            await self._add(
                BulkAction(
                    id=record_id,
                    user_id=admin.user_id,
                    session_id=admin.session_id,
                    job_id=job_id,
                    action=action,
                    undo_of=undo_of,
                )
            )
            if not (count := await add_users(record_id)):
                raise ConflictException("No users match: nothing was changed")
            what = {"action": action, "users": count, "job": job_id, **(facts or {})}
            self.audit.record(Action.BULK_ACTION_BEGUN, _target(record_id), after=what)
        log.info("bulk_action_begun", bulk_action=str(record_id), action=action, users=count)
        return record_id

    async def _add(self, record: BulkAction) -> None:
        try:
            await self.records.add(record)
        except ConflictException:
            raise ConflictException(_OPEN) from None

    async def newest(self, admin: Principal) -> list[BulkActionSummary]:
        """The last ones, newest first."""
        owner = None if admin.is_superuser else admin.user_id
        found = await self.records.newest(owner, SHOWN)
        jobs = await self.jobs.existing([row.job_id for row in found if row.outcome is None])
        by_id = {job.id: JobSummary.model_validate(job) for job in jobs}
        return [BulkActionSummary.of(row, by_id.get(row.job_id)) for row in found]

    async def get(self, record_id: UUID, admin: Principal) -> BulkActionSummary:
        """An action on many users.

        Raises:
            NotFoundException: there is none, it is another admin's, or it was deleted after a week.
        """
        row = await self.records.get(record_id)
        if row is None or not (admin.is_superuser or row.user_id == admin.user_id):
            raise NotFoundException("No such action: their records are deleted after a week")
        jobs = await self.jobs.existing([row.job_id]) if row.outcome is None else []
        return BulkActionSummary.of(row, JobSummary.model_validate(jobs[0]) if jobs else None)

    async def refusals(self, record_id: UUID) -> list[Refusal]:
        """The first users who were not changed, each with the reason."""
        return [Refusal.model_validate(row) for row in await self.records.refusals(record_id)]

    async def stop(self, record_id: UUID, admin: Principal) -> bool:
        """End it where it is: who was changed stays so. False where it had ended.

        Raises:
            NotFoundException: see `get`.
        """
        record = await self.get(record_id, admin)
        async with self.transaction():
            is_stopped = await self.records.stop(record_id)
            if is_stopped:
                await self.record_users.delete_rest(record_id)
                await self.jobs.cancel([record.job_id])
                self.audit.record(Action.BULK_ACTION_STOPPED, _target(record_id))
        log.info("bulk_action_stopped", bulk_action=str(record_id), changed=is_stopped)
        return is_stopped

    async def purge(self) -> int:
        """Delete the records of actions a week after they were begun; the number of them."""
        moment = datetime.now(UTC) - RETENTION
        await self.in_batches(lambda limit: self.record_users.delete_before(moment, limit))
        return await self.in_batches(lambda limit: self.records.delete_before(moment, limit))


def _target(record_id: UUID) -> Target:
    return Target("bulk_action", record_id)

"""What is answered to a list of users."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from app.core.exceptions import ConflictException
from app.models import User
from app.schemas.bulk import BulkReport
from app.schemas.user import UserSchema
from app.services.idempotency import Answer, Attempt, IdempotencyService
from app.services.user.creation import Rows, UserCreation

_USERS = TypeAdapter(list[UserSchema])


class BulkService:
    """Creates a list of users, once, or tells what would become of it."""

    def __init__(self, users: UserCreation, once: IdempotencyService) -> None:
        self.users = users
        self.once = once

    async def answer(self, rows: Rows, attempt: Attempt | None, *, dry_run: bool) -> Answer:
        """201 and the users, or, where nothing was to be done, 200 and the findings.

        Args:
            rows: what was sent.
            attempt: where the request may be repeated. A dry run needs no protection.
            dry_run: look only.

        Raises:
            ValidationException: rows are invalid.
            ConflictException: emails or usernames are taken, or the attempt's key is.
        """
        if dry_run:
            return await self._report(rows)
        if attempt is None:
            return _created(await self.users.create_users_bulk(rows))
        return await self._create_once(rows, attempt)

    async def _report(self, rows: Rows) -> Answer:
        details = (await self.users.examine(rows)).details
        report = BulkReport.model_validate(
            {"total": len(rows), "is_acceptable": not details, "details": details}
        )
        return Answer(200, report.model_dump_json().encode())

    async def _create_once(self, rows: Rows, attempt: Attempt) -> Answer:
        if earlier := await self.once.find(attempt):
            return earlier

        async def keep(users: Sequence[User]) -> None:
            await self.once.keep(attempt, _created(users))

        try:
            return _created(await self.users.create_users_bulk(rows, also=keep))
        except ConflictException:
            # Perhaps with ourselves: an attempt that was under way has succeeded by now.
            if earlier := await self.once.find(attempt):
                return earlier
            raise


def _created(users: Sequence[User]) -> Answer:
    return Answer(201, _USERS.dump_json(_USERS.validate_python(users, from_attributes=True)))

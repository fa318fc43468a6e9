"""What is answered to a list of users."""

from dataclasses import dataclass

from pydantic import TypeAdapter

from app.schemas import BulkReport, UserSchema
from app.services.user_creation import Rows, UserCreation

_USERS = TypeAdapter(list[UserSchema])


@dataclass(frozen=True, slots=True)
class Answer:
    """One that is complete: it can be kept, and given again as it was. `body` is JSON."""

    status: int
    body: bytes


class BulkService:
    """Creates a list of users, or tells what would become of it."""

    def __init__(self, users: UserCreation) -> None:
        self.users = users

    async def answer(self, rows: Rows, *, dry_run: bool) -> Answer:
        """201 and the users, or, where nothing was to be done, 200 and the findings.

        Raises:
            ValidationException: rows are invalid.
            ConflictException: emails or usernames are taken.
        """
        if dry_run:
            findings = await self.users.examine(rows)
            report = BulkReport.model_validate(
                {
                    "total": len(rows),
                    "is_acceptable": not findings.details,
                    "details": findings.details,
                }
            )
            return Answer(200, report.model_dump_json().encode())
        users = await self.users.create_users_bulk(rows)
        return Answer(201, _USERS.dump_json(_USERS.validate_python(users, from_attributes=True)))

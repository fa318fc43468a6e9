"""Dependencies of `POST /users/bulk` and `/users/invitations`: their rows."""

from typing import Annotated

from fastapi import Body, Depends, Request

from app.api.deps.auth import Requires
from app.api.deps.services import Confirmations
from app.api.runtime import runtime_of
from app.core.config import MAX_ROWS
from app.core.exceptions import ValidationException
from app.core.permissions import Permission
from app.schemas.access.session import Principal
from app.schemas.bulk import BULK_EXAMPLE, BulkRow
from app.schemas.invitation import INVITATION_EXAMPLE, InvitationBody, InvitationRows


async def get_bulk_rows(
    request: Request,
    rows: Annotated[list[BulkRow], Body(max_length=MAX_ROWS, examples=[BULK_EXAMPLE])],
    caller: Annotated[Principal, Requires(Permission.USERS_CREATE)],
    confirmations: Confirmations,
) -> list[BulkRow]:
    """The rows of a list, valid or not.

    Raises:
        ConfirmationRequiredException: a superuser is among them.
        ValidationException: there are none, or more than `USERS_BULK_MAX`.
    """
    check_length(request, len(rows), "users")
    if any(getattr(row, "is_superuser", None) is True for row in rows):
        await confirmations.require(caller)
    return rows


async def get_invitation_rows(
    request: Request,
    rows: Annotated[InvitationBody, Body(examples=[INVITATION_EXAMPLE])],
    caller: Annotated[Principal, Requires(Permission.USERS_INVITE)],
    confirmations: Confirmations,
) -> InvitationRows:
    """One invitation or a list of them, valid or not.

    Raises:
        ConfirmationRequiredException: one of them grants privileges.
        ValidationException: there are none, or more than `USERS_BULK_MAX`.
    """
    check_length(request, len(rows.rows), "invitations")
    if rows.grants_privileges:
        await confirmations.require(caller)
    return rows


def check_length(request: Request, length: int, what: str) -> None:
    """Raises: ValidationException: the list is empty, or longer than `USERS_BULK_MAX`."""
    limit = runtime_of(request).settings.users.bulk_max
    if not 1 <= length <= limit:
        message = f"should have at least 1 and at most {limit} {what} (USERS_BULK_MAX)"
        code = "too_long" if length else "too_short"
        raise ValidationException(details=[{"field": "body", "message": message, "code": code}])


InvitationRowsBody = Annotated[InvitationRows, Depends(get_invitation_rows)]
BulkRows = Annotated[list[BulkRow], Depends(get_bulk_rows)]

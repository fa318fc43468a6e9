"""Endpoints of one's own account as a whole: export of all data, deletion and its undo."""

from fastapi import Response

from app.api.deps.auth import CurrentUser
from app.api.deps.request import ClientDevice
from app.api.deps.services import AccountExports, Deletions
from app.api.export import ExportResponse
from app.api.limits import Limited, LimitedUser, by_principal, link_limit
from app.api.responses import OWN_DATA, errors
from app.api.routing import Router
from app.core.limiter import limiter, rate
from app.schemas.account import DeletionRequest, DeletionSchema, TokenUse

router = Router(tag="own data", description="Export and deletion of one's own account.")

_export = limiter.shared_limit(rate("own_data"), scope="own-data", key_func=by_principal)


@router.get(
    "/users/me/export",
    operation_id="export_my_data",
    status_code=200,  # FastAPI cannot guess it from a response class of our own
    response_class=ExportResponse,
    dependencies=[LimitedUser],
    responses={**OWN_DATA, **errors(401, 403)},
)
@_export
async def export_my_data(
    exports: AccountExports, caller: CurrentUser, response: Response
) -> ExportResponse:
    """All that is stored of you: a JSON object with an array for each table.

    Without secrets and their hashes. The newest rows may be missing from one array and not from
    another, since the arrays are read one after the other.
    """
    return ExportResponse(exports.of(caller), "my-data", "json", response.headers)


@router.post(
    "/users/me/deletion",
    operation_id="delete_my_account",
    response_description="Your account is inactive, and will be deleted",
    responses=errors(401, 403, 409, body=True),
)
async def delete_my_account(
    request: DeletionRequest, deletions: Deletions, caller: CurrentUser, device: ClientDevice
) -> DeletionSchema:
    """Delete your account: it is inactive at once, all sessions end, and it is deleted after
    `AUTH_DELETION_GRACE`. Until then, the link in a mail undoes it.

    409 if you are the last active superuser.
    """
    password = request.current_password.get_secret_value()
    return await deletions.request(caller, password, device)


@router.post(
    "/auth/deletion/undo",
    operation_id="undo_deletion",
    response_description="The account is active again",
    status_code=204,
    dependencies=[Limited],
    responses=errors(body=True),
)
@link_limit
async def undo_deletion(use: TokenUse, deletions: Deletions) -> None:
    """Undo the deletion of an account by the token of a mail. Log in again after it."""
    await deletions.undo(use.token.get_secret_value())

"""Routes of one's own account as a whole: export of all data, and deletion."""

from fastapi import Response

from app.admin.account.forms import DeletionFormBody
from app.admin.deps.pages import AccountPageDep, Browser, LimitedAccount
from app.admin.rendering import ACCOUNT
from app.api.deps.services import AccountExports, Deletions
from app.api.export import ExportResponse
from app.api.limits import by_principal
from app.api.routing import Router
from app.core.limiter import limiter, rate

DELETION = "account/deletion.html"

router = Router(prefix=ACCOUNT, include_in_schema=False)


@router.get("/export", name="account_export", dependencies=[LimitedAccount])
@limiter.shared_limit(rate("own_data"), scope="own-data", key_func=by_principal)
async def export(page: AccountPageDep, exports: AccountExports, response: Response) -> Response:
    """All that is stored of the user, as a file."""
    stream = exports.of(page.admin)
    return ExportResponse(stream, "my-data", "json", response.headers)


@router.get("/deletion", name="account_deletion")
async def deletion(page: AccountPageDep) -> Response:
    """Ask for confirmation before the deletion."""
    return page.render(DELETION, error=None)


@router.post("/deletion", name="account_delete")
async def delete(
    form: DeletionFormBody, page: AccountPageDep, deletions: Deletions, device: Browser
) -> Response:
    """Deactivate the account at once; it is deleted after a time in which that can be undone."""
    with page.redisplay_on_error(DELETION):
        password = form.current_password.get_secret_value()
        pending = await deletions.request(page.admin, password, device)
    date = page.formats.date(pending.delete_after)
    if not pending.is_mailed:
        return page.logged_out(
            f"Your account is inactive, and deleted after {date}: an administrator can undo it"
        )
    return page.logged_out(
        f"Your account is inactive, and deleted after {date}: "
        "the link in the mail that is on its way undoes it"
    )

"""Routes of the page that undoes the deletion of an account."""

from fastapi import Request, Response

from app.admin.account.forms import TokenFormBody
from app.admin.account.link_page import TOKEN, LinkPage, Token, checked
from app.admin.login_page import ACCOUNT_LOGIN
from app.admin.page import Notice, redirect
from app.admin.rendering import ACCOUNT
from app.api.deps.services import Deletions
from app.api.limits import Limited
from app.api.routing import Router
from app.core.limiter import by_address, limiter, rate

UNDO = LinkPage(
    "deletion-undo",
    "Undo the deletion",
    "Your account becomes active again, with all its data. Log in after it.",
    "Undo the deletion",
    again=("Log in", ACCOUNT_LOGIN),
)

router = Router(prefix=ACCOUNT, include_in_schema=False)

_view = limiter.shared_limit(rate("read"), scope="read", key_func=by_address)
_link = limiter.shared_limit(rate("link"), scope="link", key_func=by_address)


@router.get("/deletion-undo", name="account_deletion_undo", dependencies=[Limited])
@_view
async def deletion_undo(request: Request, response: Response, token: Token = "") -> Response:
    """The form to undo a deletion."""
    return UNDO.show(request, 200, response.headers, values={TOKEN: token})


@router.post("/deletion-undo", name="account_undo_deletion", dependencies=[checked(UNDO), Limited])
@_link
async def undo_deletion(
    form: TokenFormBody, deletions: Deletions, request: Request, response: Response
) -> Response:
    """Undo a deletion by a link."""
    await deletions.undo(form.token.get_secret_value())
    notice = Notice("Your account is active again: log in")
    return redirect(request, ACCOUNT_LOGIN, response.headers, notice)

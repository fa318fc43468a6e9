"""Routes of the login to one's own account, and of requests to recover a password."""

from fastapi import Request, Response

from app.admin.account.forms import RecoveryFormBody
from app.admin.account.link_page import checked
from app.admin.account.pages import RECOVERY
from app.admin.login_page import ACCOUNT_LOGIN, login_page
from app.admin.page import Notice, redirect
from app.admin.rendering import ACCOUNT
from app.api.deps.services import Recovery
from app.api.limits import Limited, recovery_limit, view_limit
from app.api.routing import Router

router = Router(prefix=ACCOUNT, include_in_schema=False)


@router.get("/login", name="account_login", dependencies=[Limited])
@view_limit
async def log_in(request: Request, response: Response) -> Response:
    """The login page, which leads to one's own account."""
    return login_page(request, 200, response.headers, next_url=ACCOUNT)


@router.get("/password-recovery", name="account_password_recovery", dependencies=[Limited])
@view_limit
async def password_recovery(request: Request, response: Response) -> Response:
    """The form to request a link."""
    return RECOVERY.show(request, 200, response.headers, values={"email": ""})


@router.post(
    "/password-recovery",
    name="account_request_password_recovery",
    dependencies=[checked(RECOVERY), Limited],
)
@recovery_limit
async def request_password_recovery(
    form: RecoveryFormBody, recovery: Recovery, request: Request, response: Response
) -> Response:
    """Request a link; the answer is the same for every address."""
    await recovery.request(form.email)
    message = "If an active account has this email, a link is on its way. It works for 30 minutes"
    return redirect(request, ACCOUNT_LOGIN, response.headers, Notice(message))

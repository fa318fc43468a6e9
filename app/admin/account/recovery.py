"""Routes of the login to one's own account, and of the recovery of a password."""

from fastapi import Request, Response

from app.admin import cookies
from app.admin.account.forms import RecoveryFormBody, ResetFormBody
from app.admin.account.link_page import TOKEN, Token, checked
from app.admin.account.pages import RECOVERY, RESET
from app.admin.login_page import ACCOUNT_LOGIN, login_page
from app.admin.page import Notice, redirect
from app.admin.rendering import ACCOUNT
from app.api.deps.services import Recovery
from app.api.limits import Limited
from app.api.routing import Router
from app.core.limiter import by_address, limiter, rate

router = Router(prefix=ACCOUNT, include_in_schema=False)

_view = limiter.shared_limit(rate("read"), scope="read", key_func=by_address)
_recovery = limiter.shared_limit(rate("recovery"), scope="recovery", key_func=by_address)
_link = limiter.shared_limit(rate("link"), scope="link", key_func=by_address)


@router.get("/login", name="account_login", dependencies=[Limited])
@_view
async def log_in(request: Request, response: Response) -> Response:
    """The login page, which leads to one's own account."""
    return login_page(request, 200, response.headers, next_url=ACCOUNT)


@router.get("/password-recovery", name="account_password_recovery", dependencies=[Limited])
@_view
async def password_recovery(request: Request, response: Response) -> Response:
    """The form to request a link."""
    return RECOVERY.show(request, 200, response.headers, values={"email": ""})


@router.post(
    "/password-recovery",
    name="account_request_password_recovery",
    dependencies=[checked(RECOVERY), Limited],
)
@_recovery
async def request_password_recovery(
    form: RecoveryFormBody, recovery: Recovery, request: Request, response: Response
) -> Response:
    """Request a link; the answer is the same for every address."""
    await recovery.request(form.email)
    notice = "If an active account has this email, a link is on its way. It works for 30 minutes"
    return redirect(request, ACCOUNT_LOGIN, response.headers, Notice(notice))


@router.get("/password-reset", name="account_password_reset", dependencies=[Limited])
@_view
async def password_reset(request: Request, response: Response, token: Token = "") -> Response:
    """The form to set a new password."""
    return RESET.show(request, 200, response.headers, values={TOKEN: token})


@router.post(
    "/password-reset", name="account_reset_password", dependencies=[checked(RESET), Limited]
)
@_link
async def reset_password(
    form: ResetFormBody, recovery: Recovery, request: Request, response: Response
) -> Response:
    """Set a new password by a link."""
    token, new = form.token.get_secret_value(), form.new_password.get_secret_value()
    device_token = await recovery.reset(token, new)
    notice = Notice("Your new password is set: log in with it")
    answer = redirect(request, ACCOUNT_LOGIN, response.headers, notice)
    cookies.write_device(answer, request, device_token)
    return answer

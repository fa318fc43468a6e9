"""Routes of the change of one's own email: the request, and the links that confirm and undo it."""

from fastapi import Request, Response

from app.admin.account.forms import EmailForm, EmailFormBody, TokenFormBody
from app.admin.account.link_page import TOKEN, Token, checked
from app.admin.account.pages import EMAIL_CHANGE, EMAIL_CHANGE_UNDO
from app.admin.deps import AccountPageDep, Browser
from app.admin.login_page import ACCOUNT_LOGIN
from app.admin.page import Notice, redirect
from app.admin.rendering import ACCOUNT
from app.api.deps.services import EmailChanges
from app.api.limits import Limited
from app.api.routing import Router
from app.core.limiter import by_address, limiter, rate

EMAIL = "account/email.html"

router = Router(prefix=ACCOUNT, include_in_schema=False)

_view = limiter.shared_limit(rate("read"), scope="read", key_func=by_address)
_link = limiter.shared_limit(rate("link"), scope="link", key_func=by_address)


@router.get("/email", name="account_email")
async def email(page: AccountPageDep) -> Response:
    """The form to request another email."""
    return page.render(EMAIL, form=EmailForm(), error=None)


@router.post("/email", name="account_request_email_change")
async def request_email_change(
    form: EmailFormBody, page: AccountPageDep, emails: EmailChanges, device: Browser
) -> Response:
    """Request another email; the answer is the same whether or not it has an account."""
    with page.redisplay_on_error(EMAIL, form=form):
        change = form.change()
        password = change.current_password.get_secret_value()
        await emails.request(page.admin, change.email, password, device)
    notice = f"Unless it has an account, a link is on its way to {change.email}: follow it there"
    return page.redirect("", Notice(notice))


@router.get("/email-change", name="account_email_change", dependencies=[Limited])
@_view
async def email_change(request: Request, response: Response, token: Token = "") -> Response:
    """The form to confirm a new email."""
    return EMAIL_CHANGE.show(request, 200, response.headers, values={TOKEN: token})


@router.post(
    "/email-change",
    name="account_confirm_email_change",
    dependencies=[checked(EMAIL_CHANGE), Limited],
)
@_link
async def confirm_email_change(
    form: TokenFormBody, emails: EmailChanges, request: Request, response: Response
) -> Response:
    """Change an email by a link to the new one."""
    await emails.confirm(form.token.get_secret_value())
    return redirect(request, ACCOUNT, response.headers, Notice("Your email is changed"))


@router.get("/email-change-undo", name="account_email_change_undo", dependencies=[Limited])
@_view
async def email_change_undo(request: Request, response: Response, token: Token = "") -> Response:
    """The form to restore the old email."""
    return EMAIL_CHANGE_UNDO.show(request, 200, response.headers, values={TOKEN: token})


@router.post(
    "/email-change-undo",
    name="account_undo_email_change",
    dependencies=[checked(EMAIL_CHANGE_UNDO), Limited],
)
@_link
async def undo_email_change(
    form: TokenFormBody, emails: EmailChanges, request: Request, response: Response
) -> Response:
    """Restore the old email by a link to it."""
    await emails.undo(form.token.get_secret_value())
    notice = Notice("Your old email is restored. A link to set a new password is on its way to it")
    return redirect(request, ACCOUNT_LOGIN, response.headers, notice)

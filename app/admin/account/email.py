"""Routes of a request to change one's own email."""

from fastapi import Response

from app.admin.account.forms import EmailForm, EmailFormBody
from app.admin.deps.pages import AccountPageDep, Browser
from app.admin.page import Notice
from app.admin.rendering import ACCOUNT
from app.admin.typed import KeepsTyped
from app.api.deps.services import EmailChanges
from app.api.routing import Router

EMAIL = "account/email.html"

router = Router(prefix=ACCOUNT, include_in_schema=False)


@router.get("/email", name="account_email")
async def email(page: AccountPageDep) -> Response:
    """The form to request another email."""
    return page.render(EMAIL, form=EmailForm(), error=None)


@router.post("/email", name="account_request_email_change", dependencies=[KeepsTyped])
async def request_email_change(
    form: EmailFormBody, page: AccountPageDep, emails: EmailChanges, device: Browser
) -> Response:
    """Request another email; the answer is the same whether or not it has an account."""
    with page.redisplay_on_error(EMAIL, form=form):
        change = form.change()
        password = change.current_password.get_secret_value()
        await emails.request(page.admin, change.email, password, device)
    message = f"Unless it has an account, a link is on its way to {change.email}: follow it there"
    return page.redirect("", Notice(message))

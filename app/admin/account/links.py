"""Routes of the pages that links in mails lead to."""

from fastapi import Request, Response

from app.admin import cookies
from app.admin.account.forms import InvitationFormBody, ResetFormBody
from app.admin.account.link_page import Use, add_form, add_token_page, checked
from app.admin.account.pages import (
    DELETION_UNDO,
    EMAIL_CHANGE,
    EMAIL_CHANGE_UNDO,
    INVITATION,
    RESET,
    VERIFICATION,
)
from app.admin.login_page import ACCOUNT_LOGIN
from app.admin.page import Notice, redirect
from app.admin.rendering import ACCOUNT
from app.api.deps.services import Acceptance, Deletions, EmailChanges, Recovery, Verification
from app.api.limits import Limited, link_limit
from app.api.routing import Router

router = Router(prefix=ACCOUNT, include_in_schema=False)


async def verify_email(verification: Verification) -> Use:
    return verification.verify


async def confirm_email_change(emails: EmailChanges) -> Use:
    return emails.confirm


async def undo_email_change(emails: EmailChanges) -> Use:
    return emails.undo


async def undo_deletion(deletions: Deletions) -> Use:
    return deletions.undo


add_token_page(
    router, VERIFICATION, "account_verify_email", verify_email, ACCOUNT, "Your email is verified"
)
add_token_page(
    router,
    EMAIL_CHANGE,
    "account_confirm_email_change",
    confirm_email_change,
    ACCOUNT,
    "Your email is changed",
)
add_token_page(
    router,
    EMAIL_CHANGE_UNDO,
    "account_undo_email_change",
    undo_email_change,
    ACCOUNT_LOGIN,
    "Your old email is restored. A link to set a new password is on its way to it",
)
add_token_page(
    router,
    DELETION_UNDO,
    "account_undo_deletion",
    undo_deletion,
    ACCOUNT_LOGIN,
    "Your account is active again: log in. If you did not delete it, change your password: "
    "another person knows it",
)
for page in (RESET, INVITATION):
    add_form(router, page)


@router.post(
    "/password-reset", name="account_reset_password", dependencies=[checked(RESET), Limited]
)
@link_limit
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


@router.post(
    "/invitation", name="account_accept_invitation", dependencies=[checked(INVITATION), Limited]
)
@link_limit
async def accept_invitation(
    form: InvitationFormBody, acceptance: Acceptance, request: Request, response: Response
) -> Response:
    """Make the account of an invitation."""
    user = await acceptance.accept(form)
    notice = Notice(f"Your account is made: log in as {user.username}, or by your email")
    return redirect(request, ACCOUNT_LOGIN, response.headers, notice)

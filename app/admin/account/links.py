"""Routes of the other pages that links in mails lead to."""

from fastapi import Request, Response

from app.admin.account.forms import InvitationFormBody, TokenFormBody
from app.admin.account.link_page import TOKEN, Token, checked
from app.admin.account.pages import DELETION_UNDO, INVITATION, VERIFICATION
from app.admin.login_page import ACCOUNT_LOGIN
from app.admin.page import Notice, redirect
from app.admin.rendering import ACCOUNT
from app.api.deps.services import Acceptance, Deletions, Verification
from app.api.limits import Limited
from app.api.routing import Router
from app.core.limiter import by_address, limiter, rate

router = Router(prefix=ACCOUNT, include_in_schema=False)

_view = limiter.shared_limit(rate("read"), scope="read", key_func=by_address)
_link = limiter.shared_limit(rate("link"), scope="link", key_func=by_address)


@router.get("/email-verification", name="account_email_verification", dependencies=[Limited])
@_view
async def email_verification(request: Request, response: Response, token: Token = "") -> Response:
    """The form to verify an email."""
    return VERIFICATION.show(request, 200, response.headers, values={TOKEN: token})


@router.post(
    "/email-verification",
    name="account_verify_email",
    dependencies=[checked(VERIFICATION), Limited],
)
@_link
async def verify_email(
    form: TokenFormBody, verification: Verification, request: Request, response: Response
) -> Response:
    """Verify an email by a link."""
    await verification.verify(form.token.get_secret_value())
    return redirect(request, ACCOUNT, response.headers, Notice("Your email is verified"))


@router.get("/deletion-undo", name="account_deletion_undo", dependencies=[Limited])
@_view
async def deletion_undo(request: Request, response: Response, token: Token = "") -> Response:
    """The form to undo the deletion of an account."""
    return DELETION_UNDO.show(request, 200, response.headers, values={TOKEN: token})


@router.post(
    "/deletion-undo",
    name="account_undo_deletion",
    dependencies=[checked(DELETION_UNDO), Limited],
)
@_link
async def undo_deletion(
    form: TokenFormBody, deletions: Deletions, request: Request, response: Response
) -> Response:
    """Undo the deletion of an account by a link."""
    await deletions.undo(form.token.get_secret_value())
    notice = Notice(
        "Your account is active again: log in. If you did not delete it, change your "
        "password: another person knows it"
    )
    return redirect(request, ACCOUNT_LOGIN, response.headers, notice)


@router.get("/invitation", name="account_invitation", dependencies=[Limited])
@_view
async def invitation(request: Request, response: Response, token: Token = "") -> Response:
    """The form of a new account."""
    values = {TOKEN: token, "username": "", "full_name": ""}
    return INVITATION.show(request, 200, response.headers, values=values)


@router.post(
    "/invitation", name="account_accept_invitation", dependencies=[checked(INVITATION), Limited]
)
@_link
async def accept_invitation(
    form: InvitationFormBody, acceptance: Acceptance, request: Request, response: Response
) -> Response:
    """Make the account of an invitation."""
    user = await acceptance.accept(form)
    notice = Notice(f"Your account is made: log in as {user.username}, or by your email")
    return redirect(request, ACCOUNT_LOGIN, response.headers, notice)

"""Endpoints of an account's life: recovery of a password, verification and change of an email."""

from typing import Annotated

from fastapi import Response

from app.api.convertors import USER_ID
from app.api.deps.auth import CurrentUser, Requires
from app.api.deps.request import ClientDevice, send_device_token
from app.api.deps.services import EmailChanges, Recovery, Verification
from app.api.limits import Limited, LimitedUser, by_principal, link_limit, recovery_limit
from app.api.responses import CHANGED_WITH_DEVICE_TOKEN, errors
from app.api.routing import Router
from app.api.types import UserId
from app.core.limiter import limiter, rate
from app.core.permissions import Permission
from app.schemas.access.session import Principal
from app.schemas.account import EmailChange, PasswordRecovery, PasswordReset, ResetLink, TokenUse

router = Router(
    tag="account", description="Links in mails: new passwords, verified and changed emails."
)


@router.post(
    "/auth/password-recovery",
    operation_id="request_password_recovery",
    response_description="A mail follows if an active user has this email",
    status_code=202,
    dependencies=[Limited],
    responses=errors(body=True),
)
@recovery_limit
async def request_password_recovery(request: PasswordRecovery, recovery: Recovery) -> None:
    """Request a mail with a link to set a new password.

    The answer does not depend on whether a user has this email. A user gets one mail a minute.
    """
    await recovery.request(request.email)


@router.post(
    "/auth/password-reset",
    operation_id="reset_password",
    response_description="The password is set, and all sessions have ended",
    status_code=204,
    dependencies=[Limited],
    responses={**CHANGED_WITH_DEVICE_TOKEN, **errors(body=True)},
)
@link_limit
async def reset_password(reset: PasswordReset, recovery: Recovery, response: Response) -> None:
    """Set a new password by the token of a mail, and end all sessions.

    A token is valid for 30 minutes and once. It stays valid if the new password is refused.
    """
    token, new = reset.token.get_secret_value(), reset.new_password.get_secret_value()
    send_device_token(response, await recovery.reset(token, new))


@router.post(
    "/users/me/email-verification",
    operation_id="request_email_verification",
    response_description="A mail follows, unless the email is verified",
    status_code=202,
    dependencies=[LimitedUser],
    responses=errors(401, 403),
)
@limiter.shared_limit(rate("recovery"), scope="recovery", key_func=by_principal)
async def request_email_verification(caller: CurrentUser, verification: Verification) -> None:
    """Request a mail with a link to verify your email: one a minute is sent."""
    await verification.request(caller.user_id)


@router.post(
    "/auth/email-verification",
    operation_id="verify_email",
    response_description="The email is verified",
    status_code=204,
    dependencies=[Limited],
    responses=errors(body=True),
)
@link_limit
async def verify_email(use: TokenUse, verification: Verification) -> None:
    """Verify an email by the token of a mail, which is valid for 24 hours and once."""
    await verification.verify(use.token.get_secret_value())


@router.post(
    "/users/me/email",
    operation_id="request_email_change",
    response_description="A mail to the new address follows, unless it has an account",
    status_code=202,
    responses=errors(401, 403, body=True),
)
async def request_email_change(
    change: EmailChange, caller: CurrentUser, emails: EmailChanges, device: ClientDevice
) -> None:
    """Request another email: a link is mailed to it, and the email stays until it is used."""
    password = change.current_password.get_secret_value()
    await emails.request(caller, change.email, password, device)


@router.post(
    "/auth/email-change",
    operation_id="confirm_email_change",
    response_description="The email is changed",
    status_code=204,
    dependencies=[Limited],
    responses=errors(409, body=True),
)
@link_limit
async def confirm_email_change(use: TokenUse, emails: EmailChanges) -> None:
    """Change the email by the token that was mailed to the new address, within 24 hours.

    The old address gets a link to undo the change.
    """
    await emails.confirm(use.token.get_secret_value())


@router.post(
    "/auth/email-change/undo",
    operation_id="undo_email_change",
    response_description="The old email is restored, and all sessions have ended",
    status_code=204,
    dependencies=[Limited],
    responses=errors(409, body=True),
)
@link_limit
async def undo_email_change(use: TokenUse, emails: EmailChanges) -> None:
    """Restore the old email by the token that was mailed to it, within 72 hours.

    All sessions end, and a link to set a new password is mailed to the restored address.
    """
    await emails.undo(use.token.get_secret_value())


@router.post(
    f"/users{USER_ID}/password-reset",
    operation_id="send_password_reset",
    response_description="The link was mailed, or is in the response",
    responses=errors(401, 403, 404, 409),
)
async def send_password_reset(
    user_id: UserId,
    recovery: Recovery,
    caller: Annotated[Principal, Requires(Permission.USERS_UPDATE, by_keys=False)],
) -> ResetLink:
    """Mail a user a link to set a new password.

    If the service sends no mail, the response has the link instead, this once: pass it on safely.
    """
    return await recovery.send_link(user_id, caller)

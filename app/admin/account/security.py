"""Routes of one's own security: the authenticator app, recovery codes, and confirmations."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Form, Query, Response
from pydantic import AfterValidator, BaseModel, Field, Json

from app.admin.deps.pages import AccountPageDep, Browser, EnrollingPage, LimitedPage
from app.admin.login_page import safe_next
from app.admin.page import AdminPage, Notice
from app.admin.rendering import ACCOUNT
from app.api.deps.services import Confirmations, Mfa, PasskeyLogins, Passkeys
from app.api.limits import by_principal, by_principal_with_code_of_form
from app.api.routing import Router
from app.core.limiter import limiter, rate
from app.schemas.access.passkey import SignInCredential
from app.schemas.access.session import Principal
from app.schemas.base import Secret, Text
from app.services.auth.confirmation import ConfirmationService
from app.services.auth.mfa import MfaService
from app.services.auth.passkeys import PasskeyService

SECURITY = "/security"
TEMPLATE = "security/security.html"
_Next = Annotated[Text, AfterValidator(safe_next)]
_code = limiter.shared_limit(rate("second_factor"), scope="second-factor", key_func=by_principal)

router = Router(prefix=ACCOUNT, include_in_schema=False)


class CodeForm(BaseModel):
    code: Secret = Field(max_length=64)


class ConfirmationForm(BaseModel):
    """A password, or a code of a second factor."""

    proof: Secret
    next: _Next = ACCOUNT


class PasskeyConfirmationForm(BaseModel):
    credential: Json[SignInCredential]
    next: _Next = ACCOUNT


@router.get("/security", name="account_security")
async def security(
    page: EnrollingPage,
    mfa: Mfa,
    passkeys: Passkeys,
    confirmations: Confirmations,
    name: Annotated[Text, Query(max_length=64)] = "",
) -> Response:
    """One's own second factors. The name is that of a new passkey, typed before a confirmation."""
    context = await context_of(mfa, passkeys, confirmations, page.admin, name)
    return page.render(TEMPLATE, **context, error=None)


@router.post("/security/totp", name="account_begin_totp")
async def begin_totp(page: EnrollingPage, mfa: Mfa, confirmations: Confirmations) -> Response:
    """Propose an authenticator app."""
    await confirmations.require(page.admin)
    await mfa.begin_totp(page.admin)
    return page.redirect(f"{SECURITY}/totp")


@router.get("/security/totp", name="account_totp")
async def totp(page: EnrollingPage, mfa: Mfa, confirmations: Confirmations) -> Response:
    """The QR code of the proposed app, until its first code has come."""
    await confirmations.require(page.admin)
    setup = await mfa.proposed_totp(page.admin)
    return page.render("security/totp.html", setup=setup, error=None)


@router.post("/security/totp/confirmation", name="account_confirm_totp", dependencies=[LimitedPage])
@_code
async def confirm_totp(
    form: Annotated[CodeForm, Form()], page: EnrollingPage, mfa: Mfa, confirmations: Confirmations
) -> Response:
    """Have the app count."""
    await confirmations.require(page.admin)
    with page.redisplay_on_error("security/totp.html", setup=await mfa.proposed_totp(page.admin)):
        codes = await mfa.confirm_totp(page.admin, form.code.get_secret_value())
    return added(page, codes, "The authenticator app is set up")


@router.post("/security/totp/remove", name="account_remove_totp")
async def remove_totp(page: AccountPageDep, mfa: Mfa, confirmations: Confirmations) -> Response:
    """Remove the authenticator app."""
    await confirmations.require(page.admin)
    await mfa.remove_totp(page.admin)
    return page.redirect(SECURITY, Notice("The authenticator app is removed"))


@router.post("/security/recovery-codes", name="account_recovery_codes")
async def recovery_codes(page: AccountPageDep, mfa: Mfa, confirmations: Confirmations) -> Response:
    """Make new recovery codes, and show them once."""
    await confirmations.require(page.admin)
    codes = await mfa.new_recovery_codes(page.admin)
    return page.render("security/recovery_codes.html", codes=codes)


@router.get("/confirm", name="account_confirmation")
async def confirm_form(page: EnrollingPage, next: Annotated[_Next, Query()] = ACCOUNT) -> Response:  # noqa: A002  # the name of the parameter
    """Ask for a confirmation before a grave action."""
    return page.render("security/confirm.html", next=next, error=None)


@router.post("/confirm", name="account_confirm", dependencies=[LimitedPage])
@limiter.shared_limit(
    rate("second_factor"), scope="second-factor", key_func=by_principal_with_code_of_form
)
async def confirm(
    form: Annotated[ConfirmationForm, Form()],
    page: EnrollingPage,
    confirmations: Confirmations,
    device: Browser,
) -> Response:
    """Confirm the session by the password, or a code."""
    with page.redisplay_on_error("security/confirm.html", next=form.next):
        proof = form.proof.get_secret_value()
        await confirmations.by_password_or_code(page.admin, proof, device)
    return page.redirect_to(form.next, Notice("Confirmed for ten minutes"))


@router.post("/confirm/passkey", name="account_confirm_by_passkey")
async def confirm_by_passkey(
    form: Annotated[PasskeyConfirmationForm, Form()], page: EnrollingPage, passkeys: PasskeyLogins
) -> Response:
    """Confirm the session by a passkey."""
    with page.redisplay_on_error("security/confirm.html", next=form.next):
        await passkeys.confirm(page.admin, form.credential)
    return page.redirect_to(form.next, Notice("Confirmed for ten minutes"))


async def context_of(
    mfa: MfaService,
    passkeys: PasskeyService,
    confirmations: ConfirmationService,
    caller: Principal,
    name: str,
) -> dict[str, Any]:
    """What the template of the view shows."""
    return {
        "factors": await mfa.status(caller),
        "passkeys": await passkeys.of(caller.user_id),
        "is_confirmed": await confirmations.is_confirmed(caller),
        "name": name,
        "return_to": f"{ACCOUNT}{SECURITY}?{urlencode({'name': name})}"
        if name
        else ACCOUNT + SECURITY,
    }


def added(page: AdminPage, codes: list[str], notice: str) -> Response:
    """The recovery codes of a first factor, shown once, or a redirect."""
    if codes:
        return page.render("security/recovery_codes.html", codes=codes)
    return page.redirect(SECURITY, Notice(notice))

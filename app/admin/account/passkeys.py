"""Routes of one's own passkeys: registered by a script, renamed and removed by forms."""

from typing import Annotated

from fastapi import Form, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Json

from app.admin.account.security import SECURITY, TEMPLATE, added, context_of
from app.admin.deps.pages import AccountPageDep, EnrollingPage
from app.admin.forms.users import validated
from app.admin.page import Notice
from app.admin.rendering import ACCOUNT
from app.admin.typed import KeepsTyped
from app.api.deps.services import Confirmations, Mfa, Passkeys
from app.api.routing import Router
from app.api.types import PasskeyId
from app.schemas.access.passkey import (
    PasskeyRegistration,
    PasskeyUpdate,
    RegistrationCredential,
)
from app.schemas.base import Text

RENAME = "security/passkey.html"

router = Router(prefix=f"{ACCOUNT}{SECURITY}/passkeys", include_in_schema=False)


class PasskeyForm(BaseModel):
    """A new passkey: its name as it is typed, and what a script fills in; nothing where the script
    was refused, and leaves it to this form to say why."""

    name: Text = ""
    credential: Json[RegistrationCredential] | None = None

    def registration(self) -> PasskeyRegistration:
        """
        Raises:
            ValidationException: a value is not valid.
        """
        return validated(PasskeyRegistration, {"name": self.name, "credential": self.credential})


class NameForm(BaseModel):
    """The name as it is typed."""

    name: Text = ""


@router.post("/options", name="account_passkey_options")
async def passkey_options(
    page: EnrollingPage, passkeys: Passkeys, confirmations: Confirmations, response: Response
) -> Response:
    """Options to register a passkey, for the script."""
    await confirmations.require(page.admin)
    options = await passkeys.registration_options(page.admin)
    return JSONResponse(options, headers=dict(response.headers))


@router.post("", name="account_register_passkey", dependencies=[KeepsTyped])
async def register_passkey(
    form: Annotated[PasskeyForm, Form()],
    page: EnrollingPage,
    mfa: Mfa,
    passkeys: Passkeys,
    confirmations: Confirmations,
) -> Response:
    """Register a passkey."""
    context = await context_of(mfa, passkeys, confirmations, page.admin, form.name)
    with page.redisplay_on_error(TEMPLATE, **context):
        await confirmations.require(page.admin)
        passkey, codes = await passkeys.register(page.admin, form.registration())
    return added(page, codes, f"The passkey “{passkey.name}” is added")


@router.get("/{passkey_id}/rename", name="account_passkey")
async def passkey(passkey_id: PasskeyId, page: AccountPageDep, passkeys: Passkeys) -> Response:
    """The form to rename a passkey."""
    found = await passkeys.one(page.admin, passkey_id)
    return page.render(RENAME, form=NameForm(name=found.name), error=None)


@router.post("/{passkey_id}/rename", name="account_rename_passkey", dependencies=[KeepsTyped])
async def rename_passkey(
    passkey_id: PasskeyId,
    form: Annotated[NameForm, Form()],
    page: AccountPageDep,
    passkeys: Passkeys,
) -> Response:
    """Give a passkey another name."""
    with page.redisplay_on_error(RENAME, form=form):
        change = validated(PasskeyUpdate, {"name": form.name})
        renamed = await passkeys.rename(page.admin, passkey_id, change.name)
    return page.redirect(SECURITY, Notice(f"The passkey is named “{renamed.name}”"))


@router.post("/{passkey_id}/remove", name="account_remove_passkey")
async def remove_passkey(
    passkey_id: PasskeyId, page: AccountPageDep, passkeys: Passkeys, confirmations: Confirmations
) -> Response:
    """Remove a passkey."""
    await confirmations.require(page.admin)
    await passkeys.remove(page.admin, passkey_id)
    return page.redirect(SECURITY, Notice("The passkey is removed"))

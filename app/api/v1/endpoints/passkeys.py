"""Endpoints of passkeys: one's own, and logins by them."""

from fastapi import Response

from app.api.deps.auth import CurrentUser, EnrollingUser
from app.api.deps.confirmation import Confirmed, ConfirmedToEnrol
from app.api.deps.request import ClientDevice, send_device_token
from app.api.deps.services import PasskeyLogins, Passkeys
from app.api.limits import Limited
from app.api.responses import WITH_DEVICE_TOKEN, errors
from app.api.routing import Router
from app.api.types import PasskeyId
from app.core.limiter import by_address, limiter, rate
from app.schemas.access.auth import TokenSchema
from app.schemas.access.passkey import (
    PasskeyCreated,
    PasskeyLogin,
    PasskeyOptions,
    PasskeyRegistration,
    PasskeySchema,
    PasskeyUpdate,
)

router = Router(tag="passkeys", description="Passkeys (WebAuthn): logins without a password.")

_login_address = limiter.shared_limit(
    rate("login_address"), scope="login-address", key_func=by_address
)
_OWN = "/users/me/passkeys"


@router.post(
    "/auth/passkey/options",
    operation_id="passkey_login_options",
    response_description="Options for `navigator.credentials.get()`",
    dependencies=[Limited],
    responses=errors(404),
)
@limiter.shared_limit(rate("passkey_options"), scope="passkey-options", key_func=by_address)
async def passkey_login_options(passkeys: PasskeyLogins) -> PasskeyOptions:
    """Options for a login or a confirmation by passkey, valid for five minutes and one use."""
    return PasskeyOptions(await passkeys.options())


@router.post(
    "/auth/passkey",
    operation_id="login_passkey",
    response_description="Tokens of a new session",
    dependencies=[Limited],
    responses={**WITH_DEVICE_TOKEN, **errors(401, 403, 404, body=True)},
)
@_login_address
async def login_passkey(
    login: PasskeyLogin, passkeys: PasskeyLogins, device: ClientDevice, response: Response
) -> TokenSchema:
    """Log in by passkey: no password and no second step.

    If the service requires verified emails, the login of a user without one is a 403 with the error
    `email_unverified`, and the link is mailed again.
    """
    tokens = await passkeys.log_in(login.credential, device)
    send_device_token(response, tokens.device_token)
    return TokenSchema.model_validate(tokens)


@router.post(
    f"{_OWN}/options",
    operation_id="passkey_registration_options",
    response_description="Options for `navigator.credentials.create()`",
    dependencies=[ConfirmedToEnrol],
    responses=errors(401, 403, 404, 409),
)
async def passkey_registration_options(caller: EnrollingUser, passkeys: Passkeys) -> PasskeyOptions:
    """Options to register a passkey, valid for five minutes, this session and one use."""
    return PasskeyOptions(await passkeys.registration_options(caller))


@router.post(
    _OWN,
    operation_id="register_passkey",
    response_description="The passkey, and with your first factor recovery codes, shown once",
    status_code=201,
    dependencies=[ConfirmedToEnrol],
    responses=errors(401, 403, 404, 409, body=True),
)
async def register_passkey(
    registration: PasskeyRegistration, caller: EnrollingUser, passkeys: Passkeys
) -> PasskeyCreated:
    """Register a passkey. With your first factor your other sessions end."""
    passkey, codes = await passkeys.register(caller, registration)
    created = PasskeySchema.model_validate(passkey)
    return PasskeyCreated(passkey=created, recovery_codes=codes)


@router.get(
    _OWN,
    operation_id="list_passkeys",
    response_description="Your passkeys, twenty at most",
    responses=errors(401, 403),
)
async def list_passkeys(caller: EnrollingUser, passkeys: Passkeys) -> list[PasskeySchema]:
    """Your passkeys, the oldest first."""
    found = await passkeys.of(caller.user_id)
    return [PasskeySchema.model_validate(passkey) for passkey in found]


@router.patch(
    f"{_OWN}/{{passkey_id:row_id}}",
    operation_id="rename_passkey",
    response_description="The renamed passkey",
    responses=errors(401, 403, 404, body=True),
)
async def rename_passkey(
    passkey_id: PasskeyId, change: PasskeyUpdate, caller: CurrentUser, passkeys: Passkeys
) -> PasskeySchema:
    """Give one of your passkeys another name."""
    return PasskeySchema.model_validate(await passkeys.rename(caller, passkey_id, change.name))


@router.delete(
    f"{_OWN}/{{passkey_id:row_id}}",
    operation_id="remove_passkey",
    response_description="The passkey is removed",
    status_code=204,
    dependencies=[Confirmed],
    responses=errors(401, 403, 404),
)
async def remove_passkey(passkey_id: PasskeyId, caller: CurrentUser, passkeys: Passkeys) -> None:
    """Remove one of your passkeys; the recovery codes go with your last factor."""
    await passkeys.remove(caller, passkey_id)

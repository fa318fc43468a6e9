"""Endpoints of second factors: one's own, and their reset."""

from typing import Annotated

from app.api.convertors import USER_ID
from app.api.deps.auth import CurrentUser, EnrollingUser, Requires
from app.api.deps.confirmation import Confirmed, ConfirmedToEnrol
from app.api.deps.services import Mfa
from app.api.limits import LimitedEnrollingUser, by_principal
from app.api.responses import errors
from app.api.routing import Router
from app.api.types import UserId
from app.core.limiter import limiter, rate
from app.core.permissions import Permission
from app.schemas.access.mfa import CodeRequest, MfaStatus, NewRecoveryCodes, TotpSetup
from app.schemas.access.session import Principal

OWN = "/users/me/mfa"

router = Router(tag="mfa", description="Second factors: authenticator app and codes.")


@router.get(
    OWN,
    operation_id="get_mfa",
    response_description="Your second factors",
    responses=errors(401, 403),
)
async def get_mfa(caller: EnrollingUser, mfa: Mfa) -> MfaStatus:
    """Your second factors, and the number of recovery codes left."""
    return await mfa.status(caller)


@router.post(
    f"{OWN}/totp",
    operation_id="begin_totp",
    response_description="What the app needs",
    status_code=201,
    dependencies=[ConfirmedToEnrol],
    responses=errors(401, 403, 409),
)
async def begin_totp(caller: EnrollingUser, mfa: Mfa) -> TotpSetup:
    """Set up an authenticator app: scan the QR code with it, then send its first code."""
    return await mfa.begin_totp(caller)


@router.post(
    f"{OWN}/totp/confirmation",
    operation_id="confirm_totp",
    response_description="Recovery codes, shown once",
    dependencies=[LimitedEnrollingUser, ConfirmedToEnrol],
    responses=errors(401, 403, 409, body=True),
)
@limiter.shared_limit(rate("second_factor"), scope="second-factor", key_func=by_principal)
async def confirm_totp(request: CodeRequest, caller: EnrollingUser, mfa: Mfa) -> NewRecoveryCodes:
    """Have the app count from now on; your other sessions end."""
    codes = await mfa.confirm_totp(caller, request.code.get_secret_value())
    return NewRecoveryCodes(recovery_codes=codes)


@router.delete(
    f"{OWN}/totp",
    operation_id="remove_totp",
    response_description="The app is removed",
    status_code=204,
    dependencies=[Confirmed],
    responses=errors(401, 403, 404),
)
async def remove_totp(caller: CurrentUser, mfa: Mfa) -> None:
    """Remove the authenticator app; the recovery codes go with your last factor."""
    await mfa.remove_totp(caller)


@router.post(
    f"{OWN}/recovery-codes",
    operation_id="new_recovery_codes",
    response_description="Recovery codes, shown once",
    status_code=201,
    dependencies=[Confirmed],
    responses=errors(401, 403, 409),
)
async def new_recovery_codes(caller: CurrentUser, mfa: Mfa) -> NewRecoveryCodes:
    """Ten new recovery codes; all earlier ones become void."""
    return NewRecoveryCodes(recovery_codes=await mfa.new_recovery_codes(caller))


@router.delete(
    f"/users{USER_ID}/mfa",
    operation_id="reset_user_mfa",
    response_description="All second factors of the user are removed",
    status_code=204,
    dependencies=[Confirmed],
    responses=errors(401, 403, 404),
)
async def reset_user_mfa(
    user_id: UserId,
    mfa: Mfa,
    caller: Annotated[Principal, Requires(Permission.USERS_UPDATE, by_keys=False)],
) -> None:
    """Remove all second factors of a user who has lost them, and end their sessions."""
    await mfa.reset(user_id, caller)

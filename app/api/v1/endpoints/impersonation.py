"""Endpoint of impersonations."""

from app.api.convertors import USER_ID
from app.api.deps.auth import CurrentSuperuser
from app.api.deps.confirmation import Confirmed
from app.api.deps.services import Impersonations
from app.api.responses import errors
from app.api.routing import Router
from app.api.types import UserId
from app.schemas.access.impersonation import ImpersonationSchema, ImpersonationStart

router = Router(prefix="/users", tag="impersonation", description="Superusers act as other users.")


@router.post(
    f"{USER_ID}/impersonation",
    operation_id="impersonate_user",
    response_description="An access token of the user",
    status_code=201,
    dependencies=[Confirmed],
    responses=errors(401, 403, 404, 409, body=True),
)
async def impersonate_user(
    user_id: UserId,
    start: ImpersonationStart,
    impersonations: Impersonations,
    caller: CurrentSuperuser,
) -> ImpersonationSchema:
    """Act as a user, for an hour at most, read-only unless you say otherwise.

    Not as another superuser. The user gets a notice, and sees what is done in their events; the
    audit trail names both. Whatever is allowed, the account itself cannot be changed: profile,
    email, password, second factors, sessions, roles and API keys.
    """
    begun = await impersonations.start(user_id, start, caller)
    return ImpersonationSchema.model_validate(begun)

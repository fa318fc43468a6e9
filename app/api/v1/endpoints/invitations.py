"""Endpoints of invitations: send, list, resend, revoke, accept."""

from typing import Annotated

from fastapi import Query, Request, Response

from app.api.deps.auth import Requires
from app.api.deps.etags import tagged
from app.api.deps.idempotency import IdempotencyKey
from app.api.deps.services import Acceptance, Invitations
from app.api.deps.users_bulk import InvitationRowsBody
from app.api.limits import Limited, LimitedUser, by_principal, link_limit
from app.api.responses import CREATED, INVITATION_ANSWERS, bulk_response, errors
from app.api.routing import Router
from app.api.types import DryRun, InvitationId, PaginationParams
from app.core.limiter import limiter, rate
from app.core.permissions import Permission
from app.schemas.access.session import Principal
from app.schemas.invitation import (
    InvitationAccept,
    InvitationPage,
    InvitationState,
    SentInvitation,
)
from app.schemas.user import UserSchema

router = Router(tag="invitations", description="Accounts for those who are invited by mail.")

Inviter = Annotated[Principal, Requires(Permission.USERS_INVITE)]
State = Annotated[InvitationState | None, Query(description="only invitations in this state")]

_invitation = limiter.shared_limit(rate("invitation"), scope="invitation", key_func=by_principal)


@router.post(
    "/users/invitations",
    operation_id="send_invitations",
    status_code=201,
    response_model=SentInvitation | list[SentInvitation],
    dependencies=[LimitedUser],
    responses=INVITATION_ANSWERS | errors(401, 403, 409, body=True),
)
@_invitation
async def send_invitations(
    rows: InvitationRowsBody,
    invitations: Invitations,
    caller: Inviter,
    request: IdempotencyKey,
    response: Response,
    *,
    dry_run: DryRun = False,
) -> Response:
    """Invite one person, or a list of them, all or none.

    The answer does not depend on whether a user has the address already; the mail does. An
    invitation grants no more than you may do yourself. Refusals of lists and `Idempotency-Key`: as
    for `POST /users/bulk`.
    """
    result = await invitations.submit(rows, request, caller, dry_run=dry_run)
    return bulk_response(result, response.headers)


@router.get(
    "/users/invitations",
    operation_id="list_invitations",
    response_description="A page of invitations",
    responses=errors(401, 403),
)
async def list_invitations(
    params: PaginationParams, invitations: Invitations, _: Inviter, state: State = None
) -> InvitationPage:
    """A page of invitations, the newest first. They are deleted 90 days after they expired."""
    return InvitationPage.model_validate(await invitations.page(state, params))


@router.post(
    "/users/invitations/{invitation_id}/resend",
    operation_id="resend_invitation",
    response_description="The invitation, with its new expiry",
    dependencies=[LimitedUser],
    responses=errors(401, 403, 404, 409),
)
@_invitation
async def resend_invitation(
    invitation_id: InvitationId, invitations: Invitations, caller: Inviter
) -> SentInvitation:
    """Send a pending or expired invitation again, with a new link; the older link becomes void.

    At most once a minute: 429 before that.
    """
    return await invitations.resend(invitation_id, caller)


@router.delete(
    "/users/invitations/{invitation_id}",
    operation_id="revoke_invitation",
    response_description="The invitation is void",
    status_code=204,
    responses=errors(401, 403, 404, 409),
)
async def revoke_invitation(
    invitation_id: InvitationId, invitations: Invitations, _: Inviter
) -> None:
    """Make an invitation void that was not accepted."""
    await invitations.revoke(invitation_id)


@router.post(
    "/auth/invitation",
    operation_id="accept_invitation",
    response_description="The new user",
    status_code=201,
    dependencies=[Limited],
    responses=CREATED | errors(409, body=True),
)
@link_limit
async def accept_invitation(
    sent: InvitationAccept, acceptance: Acceptance, request: Request, response: Response
) -> UserSchema:
    """Make an account by the token of an invitation, also while registration is disabled.

    A token is valid for seven days and once. It stays valid if a value is refused. 409 if a user
    has the address by now.
    """
    user = UserSchema.model_validate(await acceptance.accept(sent))
    prefix = request.url.path.removesuffix("/auth/invitation")
    response.headers["Location"] = f"{prefix}/users/{user.id}"
    return tagged(user, response)

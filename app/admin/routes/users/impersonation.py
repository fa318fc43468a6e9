"""Routes by which a superuser acts as a user, and as themselves again."""

from fastapi import Response

from app.admin.deps.pages import LeavingPage, PageDep
from app.admin.forms.access import ImpersonationForm, ImpersonationFormBody
from app.admin.listings.user_place import Place
from app.admin.listings.users import USERS_PATH
from app.admin.rendering import ACCOUNT
from app.admin.typed import KeepsTyped
from app.api.deps.services import Confirmations, Impersonations, Sessions, Users
from app.api.routing import Router

TEMPLATE = "users/impersonation.html"
START = f"{USERS_PATH}/{{user_id}}/impersonation"

router = Router(include_in_schema=False)


@router.get(START, name="dashboard_impersonation")
async def impersonation(
    page: PageDep, place: Place, users: Users, confirmations: Confirmations
) -> Response:
    """Ask for the reason."""
    await confirmations.require(page.admin)
    user = await users.get(place.user_id, page.admin)
    return page.render(TEMPLATE, user=user, place=place, form=ImpersonationForm(), error=None)


@router.post(START, name="dashboard_impersonate", dependencies=[KeepsTyped])
async def impersonate(
    form: ImpersonationFormBody,
    page: PageDep,
    place: Place,
    users: Users,
    confirmations: Confirmations,
    impersonations: Impersonations,
) -> Response:
    """Act as the user, read-only."""
    user = await users.get(place.user_id, page.admin)
    with page.redisplay_on_error(TEMPLATE, user=user, place=place, form=form):
        await confirmations.require(page.admin)
        begun = await impersonations.start(user.id, form.start(), page.admin, "page")
    return page.redirect_as(begun.access_token, begun.expires_in)


@router.post(f"{ACCOUNT}/impersonation/end", name="account_end_impersonation")
async def end_impersonation(page: LeavingPage, sessions: Sessions) -> Response:
    """Act as oneself again, without a new login; also where it is over already."""
    user = page.admin.user
    if page.admin.impersonator is None:
        return page.redirect_as_oneself(ACCOUNT, "You act as yourself")
    await sessions.end(page.admin.session_id, user.id)
    return page.redirect_as_oneself(
        f"{USERS_PATH}/{user.id}", f"You act as yourself again, and no longer as {user.username}"
    )

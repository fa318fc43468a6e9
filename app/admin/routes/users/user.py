"""Routes of the views of one user: the account, sessions, history and JSON.

Each is a page; in the drawer of the users table it is shown without the page around it.
"""

from fastapi import Response

from app.admin.deps.pages import EndSessionsPage, UserHistoryPage, UserSessionsPage, UsersPage
from app.admin.deps.services import Audit
from app.admin.forms.users import UserForm
from app.admin.listings.user_place import Place
from app.admin.listings.users import USERS_PATH
from app.admin.page import Notice
from app.api.deps.services import Mfa, Roles, Sessions, UserLists, Users
from app.api.routing import Router
from app.api.types import SessionId, UserId
from app.core.exceptions import NotFoundException
from app.core.pagination import CursorParams, PageParams
from app.schemas.audit import AuditFilters

SHOWN_EVENTS = 25
"""Events of a user's history; a link leads to all of them."""

router = Router(prefix=f"{USERS_PATH}/{{user_id}}", include_in_schema=False)


@router.get("", name="dashboard_user")
async def user_view(
    page: UsersPage,
    user_id: UserId,
    place: Place,
    users: Users,
    lists: UserLists,
    roles: Roles,
    mfa: Mfa,
) -> Response:
    """The account of a user, and what can be done to it."""
    user = await users.get(user_id, page.admin)
    seen = await lists.last_seen_on([user_id])
    return page.render(
        "users/user.html",
        user=user,
        place=place,
        last_seen_on=seen.get(user_id),
        names=UserForm.text_fields(),
        roles=await roles.of_user(user_id, page.admin),
        factors=await mfa.factors_of(user_id) if user.has_mfa else None,
    )


@router.get("/sessions", name="dashboard_user_sessions")
async def user_sessions(
    page: UserSessionsPage, user_id: UserId, place: Place, users: Users, sessions: Sessions
) -> Response:
    """The sessions of a user that were used last."""
    user = await users.get(user_id, page.admin)
    live = await sessions.of_user_or_raise(user_id, page.admin.session_id, PageParams())
    return page.render("users/sessions.html", user=user, place=place, sessions=live)


@router.post("/sessions/{session_id}/end", name="dashboard_end_user_session")
async def end_session(
    user_id: UserId, session_id: SessionId, place: Place, page: EndSessionsPage, sessions: Sessions
) -> Response:
    """End one session of a user. One that has ended already is reported, and no error."""
    done = Notice("The session has ended")
    try:
        await sessions.end_of_user_or_raise(session_id, user_id, page.admin)
    except NotFoundException:
        done = Notice("The session had ended already")
    return page.redirect_to(place.url("/sessions"), done)


@router.get("/history", name="dashboard_user_history")
async def user_history(
    page: UserHistoryPage, user_id: UserId, place: Place, users: Users, audit: Audit
) -> Response:
    """The newest events of the account."""
    user = await users.get(user_id, page.admin)
    filters = AuditFilters(user_id=user_id)
    events = await audit.page(filters, CursorParams(size=SHOWN_EVENTS))
    return page.render("users/history.html", user=user, place=place, events=events)


@router.get("/json", name="dashboard_user_json")
async def user_json(page: UsersPage, user_id: UserId, place: Place, users: Users) -> Response:
    """The user as the API answers `GET /users/{user_id}`."""
    user = await users.get(user_id, page.admin)
    record = user.model_dump_json(indent=2)
    return page.render("users/json.html", user=user, place=place, record=record)

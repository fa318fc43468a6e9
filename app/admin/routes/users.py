"""The admin page's view of users."""

from fastapi import Response

from app.admin.changes import Asked, BackTo, Confirmed, ask, tell
from app.admin.deps import PageDep
from app.admin.forms import ChangedUser, EditForm, NewUser, UserForm
from app.admin.listing import USERS, Listed
from app.admin.page import Notice
from app.admin.routes.upload import TEMPLATE, Limits, Uploaded, show
from app.admin.services import Desk, Uploads
from app.api.export import ExportResponse
from app.api.routing import Router
from app.api.types import Exports, LongDeadline, Sessions, UserId, UserLists, Users
from app.core.pagination import PageParams

router = Router(prefix="/dashboard/users", include_in_schema=False)


@router.get("", name="dashboard_users")
async def users_table(page: PageDep, listing: Listed, users: UserLists) -> Response:
    """A page of the users whom the filters leave."""
    found = await users.page(listing.filters, listing.params)
    return page.render("users/table.html", listing=listing, found=found)


@router.get("/export", name="dashboard_users_export")
async def export(_: PageDep, listing: Listed, exports: Exports, response: Response) -> Response:
    """All of them, as a file for a spreadsheet."""
    stream = exports.users(listing.filters, "csv", bom=True)
    return ExportResponse(stream, "users", "csv", response.headers)


@router.get("/new", name="dashboard_new_user")
async def new_user(page: PageDep) -> Response:
    """The form for a new user."""
    return page.render("users/form.html", form=UserForm(), user_id=None, error=None)


@router.post("/new", name="dashboard_create_user")
async def create_user(form: NewUser, page: PageDep, desk: Desk) -> Response:
    """Create a user."""
    user = await desk.create(form.create(), page.visitor)
    return page.redirect(f"/users/{user.id}", Notice(f"Created {user.username}"))


@router.get("/upload", name="dashboard_upload")
async def upload(page: PageDep, limits: Limits) -> Response:
    """The form for a file of users."""
    return page.render(TEMPLATE, **limits, sent=None, preview=None, error=None)


@router.post("/upload", name="dashboard_take_upload", dependencies=[LongDeadline])
async def take_upload(page: PageDep, sent: Uploaded, uploads: Uploads, limits: Limits) -> Response:
    """Look at a file, or create whom it holds if it is the one that was looked at."""
    preview = await uploads.take(sent.name, sent.content, write=sent.is_confirmed)
    return await show(page, sent, preview, limits)


@router.get("/confirm", name="dashboard_confirm_change")
async def confirm_change(page: PageDep, selection: Asked, desk: Desk) -> Response:
    """Ask before something is done to the users who are selected."""
    people = await desk.people(selection.id, page.visitor)
    return ask(page, selection, people)


@router.post("/confirm", name="dashboard_change_users")
async def change_users(page: PageDep, selection: Confirmed, desk: Desk) -> Response:
    """Do it, to each for themselves."""
    outcomes = await desk.change(selection.action, selection.id, page.visitor)
    return tell(page, selection, outcomes)


@router.get("/{user_id}", name="dashboard_user")
async def user_view(
    page: PageDep, user_id: UserId, users: Users, sessions: Sessions, back: BackTo = USERS
) -> Response:
    """A user and the sessions they used last."""
    live = await sessions.of_user_or_raise(user_id, page.visitor.session_id, PageParams())
    user = await users.get(user_id, page.visitor)
    return page.render("users/user.html", user=user, sessions=live, back=back)


@router.get("/{user_id}/edit", name="dashboard_edit_user")
async def edit_user(page: PageDep, user_id: UserId, users: Users) -> Response:
    """The form for a user who is there."""
    form = EditForm.of(await users.get(user_id, page.visitor))
    return page.render("users/form.html", form=form, user_id=user_id, error=None)


@router.post("/{user_id}/edit", name="dashboard_update_user")
async def update_user(user_id: UserId, form: ChangedUser, page: PageDep, desk: Desk) -> Response:
    """Change a user."""
    user = await desk.update(user_id, form.update(), page.visitor)
    return page.redirect(f"/users/{user.id}", Notice(f"Saved {user.username}"))

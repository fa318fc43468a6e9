"""Routes of the users table, of the forms to create and edit a user, and of bulk actions."""

from collections.abc import Awaitable, Sequence
from typing import Annotated, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Form, Query, Response
from pydantic import BaseModel, Field

from app.admin.deps.pages import EditUserPage, ExportPage, NewUserPage, UsersPage
from app.admin.deps.services import AdminUsers, Audit, BulkActions, SavedViews
from app.admin.forms.users import EditForm, EditFormBody, NewUserFormBody, UserForm
from app.admin.listings.chips import CHOICES, chips
from app.admin.listings.display import COLUMNS, DENSITIES, StoredDisplay
from app.admin.listings.saved_views import view_links
from app.admin.listings.user_place import Back, Place, UserPlace
from app.admin.listings.users import USERS_PATH, UserListingQuery
from app.admin.page import AdminPage, Notice, Undo
from app.admin.rendering import BASE
from app.admin.services.edits import naming_who
from app.admin.services.users import ActionResult
from app.admin.translation import N_, Translation
from app.admin.typed import KeepsTyped
from app.api.deps.services import (
    Confirmations,
    Exports,
    Recovery,
    Roles,
    UserLists,
    Users,
)
from app.api.export import ExportResponse
from app.api.routing import Router
from app.api.types import UserId
from app.core.exceptions import ConflictException
from app.core.permissions import Permission
from app.schemas.audit import Target
from app.schemas.background.bulk_action import OPPOSITE, PERMISSION_FOR, UserAction
from app.schemas.base import MAX_BIGINT
from app.services.auth.confirmation import ConfirmationService

FORM_TEMPLATE = "users/form.html"
MAX_QUERY = 8_000
"""Characters of the query string of a list, as of saved views."""
MAX_SELECTED = 300
"""Users selected one by one; a URL has to hold their ids."""
MAX_DIRECT = 100
"""Users changed within the request; more of them by a job."""
MAX_NAMES = 5
"""Usernames in a notice; it counts the others."""

router = Router(prefix=USERS_PATH, include_in_schema=False)


class Selection(BaseModel):
    """An action and the users it is for.

    Attributes:
        matching: whether it is for all users of a list, and not for those with the ids.
        query: the query string of that list.
        back: URL to return to.
    """

    action: UserAction
    id: list[Annotated[int, Field(ge=1, le=MAX_BIGINT)]] = Field([], max_length=MAX_SELECTED)
    matching: bool = False
    query: Annotated[str, Field(max_length=MAX_QUERY)] = ""
    back: Back = USERS_PATH

    @property
    def path(self) -> str:
        """`back` for `AdminPage.redirect`."""
        return self.back.removeprefix(BASE)

    @property
    def in_drawer(self) -> str:
        """Where to return to in a drawer, beside which the list is: to the user."""
        if self.action == "delete":
            return UserPlace(self.id[0], self.back).url()
        return self.back

    @property
    def matching_path(self) -> str:
        """The same of the question about all users of the list."""
        asked = {"action": self.action, "query": self.query, "back": self.back}
        return f"/bulk-actions/new?{urlencode(asked)}"


class ActionTexts(NamedTuple):
    """The words for an action: before it, after it, and what it has as a consequence."""

    verb: str
    done: str
    consequence: str
    is_destructive: bool = True
    is_grave: bool = False


TEXTS: dict[UserAction, ActionTexts] = {
    "activate": ActionTexts(
        "Activate",
        "Activated %(names)s",
        "The users can log in. Ended sessions stay ended.",
        is_destructive=False,
    ),
    "deactivate": ActionTexts(
        "Deactivate",
        "Deactivated %(names)s",
        "The users are logged out everywhere at once, and cannot log in until activated again.",
    ),
    "end_sessions": ActionTexts(
        "End the sessions of",
        "Ended the sessions of %(names)s",
        "The users are logged out everywhere at once, and can log in again.",
    ),
    "delete": ActionTexts(
        "Delete",
        "Deleted %(names)s",
        "The accounts and sessions are deleted permanently. This cannot be undone.",
        is_grave=True,
    ),
    "reset_mfa": ActionTexts(
        "Remove the second factors of",
        "Removed the second factors of %(names)s",
        "Authenticator apps, passkeys and recovery codes are removed, and the users are logged out "
        "everywhere. They log in by their password, and are told by mail.",
        is_grave=True,
    ),
}


async def check_action(
    page: AdminPage, action: UserAction, confirmations: ConfirmationService
) -> None:
    """
    Raises:
        ForbiddenException: the caller may not do this.
        ConfirmationRequiredException: it is a grave action.
    """
    page.require(PERMISSION_FOR[action])
    if TEXTS[action].is_grave:
        await confirmations.require(page.admin)


@router.get("", name="dashboard_users")
async def users_table(
    page: UsersPage,
    listing: UserListingQuery,
    users: UserLists,
    roles: Roles,
    views: SavedViews,
    stored: StoredDisplay,
) -> Response:
    """The table of users: one page of those that match the filters."""
    shown = listing.display(stored)
    numbered = listing.sized(shown.size).at(listing.page)
    found = await users.page(listing.filters, numbered.params)
    return page.render(
        "users/table.html",
        listing=listing,
        numbered=numbered,
        shown=shown,
        columns=COLUMNS,
        densities=DENSITIES,
        found=found,
        last_seen_on=await users.last_seen_on(
            [user.id for user in found.items if "seen" in shown.columns]
        ),
        choices=CHOICES,
        chips=chips(listing),
        saved_views=view_links(await views.of_user(page.admin.user_id), listing),
        roles=await roles.visible_names(page.admin),
        call=page.api_call("/users", Permission.USERS_READ, listing.filters, numbered.params),
    )


@router.get("/export", name="dashboard_users_export")
async def export(
    _: ExportPage, listing: UserListingQuery, exports: Exports, response: Response
) -> Response:
    """All users that match the filters, as CSV for a spreadsheet."""
    stream = exports.users(listing.filters, "csv", bom=True)
    return ExportResponse(stream, "users", "csv", response.headers)


@router.get("/new", name="dashboard_new_user")
async def new_user(page: NewUserPage) -> Response:
    """The form for a new user."""
    return page.render(FORM_TEMPLATE, form=UserForm(), user=None, place=None, error=None)


@router.post("/new", name="dashboard_create_user", dependencies=[KeepsTyped])
async def create_user(form: NewUserFormBody, page: NewUserPage, users: AdminUsers) -> Response:
    """Create a user."""
    with page.redisplay_on_error(FORM_TEMPLATE, form=form, user=None, place=None):
        user = await users.create(form.create(), page.admin)
    return page.redirect(f"/users/{user.id}", Notice(f"Created {user.username}"))


@router.get("/confirm", name="dashboard_confirm_change")
async def confirm(
    page: UsersPage,
    selection: Annotated[Selection, Query()],
    users: AdminUsers,
    confirmations: Confirmations,
) -> Response:
    """Ask for confirmation before an action on the selected users."""
    await check_action(page, selection.action, confirmations)
    if selection.matching:
        return page.redirect(selection.matching_path)
    selected = await users.existing(selection.id, page.admin)
    if not selected:
        return page.redirect(selection.path, Notice("No user is selected", "error"))
    texts = TEXTS[selection.action]
    return page.render(
        "users/confirm.html",
        selection=selection,
        users=selected,
        texts=texts,
        max_direct=MAX_DIRECT,
    )


@router.post("/confirm", name="dashboard_change_users")
async def apply(
    page: UsersPage,
    selection: Annotated[Selection, Form()],
    users: AdminUsers,
    bulk_actions: BulkActions,
    confirmations: Confirmations,
) -> Response:
    """Apply the action to each selected user; to many of them by a job."""
    await check_action(page, selection.action, confirmations)
    if len(selection.id) > MAX_DIRECT:
        return await begun(
            page,
            bulk_actions.begin_selected(selection.action, selection.id, page.admin),
            selection.path,
        )
    results = await users.apply(selection.action, selection.id, page.admin)
    return _results(page, selection, results)


@router.get("/{user_id}/edit", name="dashboard_edit_user")
async def edit_user(page: EditUserPage, user_id: UserId, place: Place, users: Users) -> Response:
    """The form for an existing user."""
    user = await users.get(user_id, page.admin)
    form = EditForm.of(user)
    return page.render(FORM_TEMPLATE, form=form, user=user, place=place, error=None)


@router.post("/{user_id}/edit", name="dashboard_update_user", dependencies=[KeepsTyped])
async def update_user(
    user_id: UserId,
    place: Place,
    form: EditFormBody,
    page: EditUserPage,
    users: AdminUsers,
    profiles: Users,
    audit: Audit,
) -> Response:
    """Change a user."""
    user = await profiles.get(user_id, page.admin)
    with page.redisplay_on_error(FORM_TEMPLATE, form=form, user=user, place=place):
        async with naming_who(audit, Target("user", user_id), page.admin):
            user = await users.update(
                user_id, form.update(), page.admin, form.known, is_sure=form.is_sure
            )
    return page.redirect_to(place.url(), Notice(f"Saved {user.username}"))


@router.post("/{user_id}/password-reset", name="dashboard_send_password_reset")
async def send_password_reset(
    user_id: UserId, place: Place, page: EditUserPage, recovery: Recovery
) -> Response:
    """Mail a user a link to set a new password; where no mail is sent, show it, this once."""
    try:
        sent = await recovery.send_link(user_id, page.admin)
    except ConflictException as refusal:
        return page.redirect_to(place.url(), Notice(refusal.message, "error"))
    if sent.link is not None:
        return page.render(
            "invitations/link.html",
            email=N_(f"user {user_id}"),
            link=sent.link,
            lifetime=N_("30 minutes"),
        )
    return page.redirect_to(place.url(), Notice("The link is on its way, for 30 minutes"))


async def begun(page: AdminPage, beginning: Awaitable[UUID], refused_path: str) -> Response:
    """A redirect to the page of a job that begins, or where it is refused, to another one."""
    try:
        return page.redirect(f"/bulk-actions/{await beginning}")
    except ConflictException as refusal:
        return page.redirect(refused_path, Notice(refusal.message, "error"))


def _results(page: AdminPage, selection: Selection, results: Sequence[ActionResult]) -> Response:
    """A redirect with a notice, or where an action was refused, the list of all results (409)."""
    changed = [result.undoable for result in results if result.undoable is not None]
    undo = Undo(OPPOSITE[selection.action], changed, selection.back) if changed else None
    if any(result.refusal for result in results):
        return page.render(
            "users/results.html", 409, selection=selection, results=results, undo=undo
        )
    names = _listed([result.name for result in results], page.words)
    redirect = page.redirect_to_list if selection.action == "delete" else page.redirect
    notice = Notice(TEXTS[selection.action].done % {"names": names}, undo=undo)
    return redirect(selection.path, notice)


def _listed(names: Sequence[str], words: Translation) -> str:
    """`ada`, `ada and bob`, `ada, bob and 7 more`."""
    if len(names) > MAX_NAMES:
        names = [*names[:MAX_NAMES], f"{len(names) - MAX_NAMES} {words.gettext('more')}"]
    *first, last = names or [words.gettext("no user")]
    return f"{', '.join(first)} {words.gettext('and')} {last}" if first else last

"""Routes of the actions on many users that are background jobs: question, progress, stop, undo."""

from time import time
from typing import Annotated
from uuid import UUID

from fastapi import Form, Path, Query, Response
from pydantic import BaseModel, Field

from app.admin.deps.pages import EditUserPage, UsersPage
from app.admin.deps.services import BulkActions
from app.admin.listings.chips import chips
from app.admin.listings.user_place import Back
from app.admin.listings.users import USERS_PATH, UserListing
from app.admin.page import Notice
from app.admin.rendering import BASE
from app.admin.routes.users.users import MAX_QUERY, TEXTS, Selection, begun, check_action
from app.admin.translation import N_
from app.api.deps.services import Confirmations
from app.api.routing import Router
from app.core.exceptions import ValidationException
from app.services.bulk_actions.service import MAX_USERS

BULK_ACTIONS_PATH = f"{BASE}/bulk-actions"
SEAL = "bulk action"
VALID_FOR = 600
"""Seconds for which a question can be answered: the list behind its filters changes."""
TOO_OLD = N_("The question was asked more than ten minutes ago. Look at the number again")

router = Router(prefix=BULK_ACTIONS_PATH, include_in_schema=False)

BulkActionId = Annotated[UUID, Path()]


class Confirmed(BaseModel):
    """What the question sealed, and the URL of the list."""

    sealed: Annotated[str, Field(max_length=2 * MAX_QUERY)]
    back: Back = USERS_PATH


def listing_of(query: str) -> UserListing:
    """
    Raises:
        ValidationException: it is not a query string of the users table.
    """
    listing = UserListing.of_query(query)
    if listing is None:
        message = "is not a list of users"
        raise ValidationException(
            details=[{"field": "query", "message": message, "code": "malformed"}]
        )
    return listing


@router.get("", name="dashboard_bulk_actions")
async def bulk_actions_table(page: UsersPage, bulk_actions: BulkActions) -> Response:
    """The last actions on many users."""
    found = await bulk_actions.newest(page.admin)
    return page.render("bulk_actions/table.html", bulk_actions=found, texts=TEXTS)


@router.get("/new", name="dashboard_confirm_bulk_action")
async def confirm(
    page: UsersPage,
    selection: Annotated[Selection, Query()],
    bulk_actions: BulkActions,
    confirmations: Confirmations,
) -> Response:
    """Ask for confirmation before an action on all users of a list."""
    await check_action(page, selection.action, confirmations)
    listing = listing_of(selection.query)
    max_id = await bulk_actions.last_id()
    total = await bulk_actions.count(listing.filters, max_id)
    if not total:
        return page.redirect(selection.path, Notice("No users match", "error"))
    return page.render(
        "bulk_actions/confirm.html",
        selection=selection,
        texts=TEXTS[selection.action],
        total=total,
        chips=chips(listing),
        max_users=MAX_USERS,
        sealed=page.seal(SEAL, selection.action, selection.query, max_id, total, int(time())),
    )


@router.post("", name="dashboard_begin_bulk_action")
async def begin(
    page: UsersPage,
    form: Annotated[Confirmed, Form()],
    bulk_actions: BulkActions,
    confirmations: Confirmations,
) -> Response:
    """Have a worker do what was confirmed."""
    action, query, max_id, confirmed, asked_at = page.unseal(SEAL, form.sealed)
    await check_action(page, action, confirmations)
    filters = listing_of(query).filters
    again = Selection(action=action, query=query, back=form.back)
    if time() - asked_at > VALID_FOR:
        return page.redirect(again.matching_path, Notice(TOO_OLD, "error"))
    beginning = bulk_actions.begin_filtered(action, filters, max_id, confirmed, page.admin)
    return await begun(page, beginning, again.matching_path)


@router.get("/{bulk_action_id}", name="dashboard_bulk_action")
async def bulk_action_view(
    page: UsersPage, bulk_action_id: BulkActionId, bulk_actions: BulkActions
) -> Response:
    """An action on many users, and its progress; the view refreshes itself until it has ended."""
    found = await bulk_actions.get(bulk_action_id, page.admin)
    refusals = await bulk_actions.refusals(bulk_action_id) if found.is_over else []
    return page.render(
        "bulk_actions/bulk_action.html", bulk_action=found, refusals=refusals, texts=TEXTS
    )


@router.post("/{bulk_action_id}/stop", name="dashboard_stop_bulk_action")
async def stop(
    page: UsersPage, bulk_action_id: BulkActionId, bulk_actions: BulkActions
) -> Response:
    """Stop an action that has not ended."""
    is_stopped = await bulk_actions.stop(bulk_action_id, page.admin)
    notice = Notice("Stopped") if is_stopped else Notice("It had ended before", "error")
    return page.redirect(f"/bulk-actions/{bulk_action_id}", notice)


@router.post("/{bulk_action_id}/undo", name="dashboard_undo_bulk_action")
async def undo(
    page: EditUserPage, bulk_action_id: BulkActionId, bulk_actions: BulkActions
) -> Response:
    """Begin the opposite action, for the users who were changed."""
    beginning = bulk_actions.undo(bulk_action_id, page.admin)
    return await begun(page, beginning, f"/bulk-actions/{bulk_action_id}")

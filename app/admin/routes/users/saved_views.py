"""Routes of the saved views of the users table: save, rename, delete."""

from typing import Annotated, Any

from fastapi import Form, Path, Response
from pydantic import BaseModel

from app.admin.deps.pages import UsersPage
from app.admin.deps.services import SavedViews
from app.admin.forms.users import validated
from app.admin.listings.chips import chips
from app.admin.listings.saved_views import VIEWS_PATH
from app.admin.listings.users import USERS_PATH, UserListing, UserListingQuery
from app.admin.page import Notice
from app.admin.typed import KeepsTyped
from app.api.routing import Router
from app.core.exceptions import NotFoundException
from app.schemas.base import MAX_BIGINT, Text
from app.schemas.saved_view import SavedViewSchema, ViewName

FORM_TEMPLATE = "users/saved_view.html"

router = Router(prefix=VIEWS_PATH, include_in_schema=False)

ViewId = Annotated[int, Path(ge=1, le=MAX_BIGINT)]


class NameForm(BaseModel):
    """The name as it is typed."""

    name: Text = ""

    def valid(self) -> str:
        """
        Raises:
            ValidationException: it is not valid.
        """
        return validated(ViewName, {"name": self.name}).name


NameFormBody = Annotated[NameForm, Form()]


@router.get("/new", name="dashboard_new_view")
async def new_view(page: UsersPage, listing: UserListingQuery) -> Response:
    """The form to save a list."""
    return page.render(FORM_TEMPLATE, form=NameForm(), **_new(listing.at(1)), error=None)


@router.post("/new", name="dashboard_save_view", dependencies=[KeepsTyped])
async def save_view(
    form: NameFormBody, page: UsersPage, listing: UserListingQuery, views: SavedViews
) -> Response:
    """Save a list under a name."""
    saved = listing.at(1)
    with page.redisplay_on_error(FORM_TEMPLATE, form=form, **_new(saved)):
        name = form.valid()
        await views.save(page.admin.user_id, name, saved.query)
    return page.redirect_to(saved.url, Notice(f"Saved the view “{name}”"))


@router.get("/{view_id}", name="dashboard_view")
async def view(view_id: ViewId, page: UsersPage, views: SavedViews) -> Response:
    """The form to rename or delete a view."""
    found = await views.get(view_id, page.admin.user_id)
    return page.render(FORM_TEMPLATE, **_context(found), form=NameForm(name=found.name), error=None)


@router.post("/{view_id}", name="dashboard_rename_view", dependencies=[KeepsTyped])
async def rename_view(
    view_id: ViewId, form: NameFormBody, page: UsersPage, views: SavedViews
) -> Response:
    """Give a view another name."""
    found = await views.get(view_id, page.admin.user_id)
    with page.redisplay_on_error(FORM_TEMPLATE, **_context(found), form=form):
        renamed = await views.rename(view_id, page.admin.user_id, form.valid())
    return page.redirect_to(_url(renamed), Notice(f"The view is named “{renamed.name}”"))


@router.post("/{view_id}/delete", name="dashboard_delete_view")
async def delete_view(view_id: ViewId, page: UsersPage, views: SavedViews) -> Response:
    """Delete a view; its list is shown on."""
    try:
        deleted = await views.delete(view_id, page.admin.user_id)
    except NotFoundException:
        return page.redirect_to(USERS_PATH, Notice("The view was deleted already", "error"))
    return page.redirect_to(_url(deleted), Notice(f"Deleted the view “{deleted.name}”"))


def _new(listing: UserListing) -> dict[str, Any]:
    return {"view": None, "listing": listing, "chips": chips(listing)}


def _context(found: SavedViewSchema) -> dict[str, Any]:
    listing = UserListing.of_query(found.query)
    return {"view": found, "listing": listing, "chips": chips(listing) if listing else []}


def _url(found: SavedViewSchema) -> str:
    """Of its list; of all users where a filter is not valid any more."""
    listing = UserListing.of_query(found.query)
    return listing.url if listing else USERS_PATH

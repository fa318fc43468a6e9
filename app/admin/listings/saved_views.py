"""Links to the saved views of the users table."""

from collections.abc import Iterable
from typing import NamedTuple

from app.admin.listings.users import USERS_PATH, UserListing
from app.schemas.saved_view import SavedViewSchema

VIEWS_PATH = f"{USERS_PATH}/views"


class ViewLink(NamedTuple):
    """A saved view.

    Attributes:
        url: of its list; None where a filter is not valid any more.
        is_current: whether its list is shown.
        edit_url: of the form that renames and deletes it.
    """

    name: str
    url: str | None
    is_current: bool
    edit_url: str


def view_links(views: Iterable[SavedViewSchema], listing: UserListing) -> list[ViewLink]:
    """The links beside a list."""
    return [_link(view, listing) for view in views]


def _link(view: SavedViewSchema, listing: UserListing) -> ViewLink:
    saved = UserListing.of_query(view.query)
    url = saved.url if saved else None
    return ViewLink(view.name, url, saved == listing.at(1), f"{VIEWS_PATH}/{view.id}")

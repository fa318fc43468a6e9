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
    """The links beside a list. Where no view is the very list, those are current that leave open
    how the table is shown."""
    saved = [(view, UserListing.of_query(view.query)) for view in views]
    is_saved = any(one == listing.at(1) for _, one in saved)
    return [
        ViewLink(
            view.name,
            one.url if one else None,
            one == listing.at(1) or (one is not None and not is_saved and one.is_part_of(listing)),
            f"{VIEWS_PATH}/{view.id}",
        )
        for view, one in saved
    ]

"""Route of the form that chooses how the users table is shown."""

from typing import Annotated

from fastapi import Form, Request, Response
from pydantic import BaseModel

from app.admin import cookies
from app.admin.deps.pages import UsersPage
from app.admin.listings.base import PAGE_SIZE, PageSize
from app.admin.listings.display import DEFAULT, Column, Columns, Density, Display, StoredDisplay
from app.admin.listings.users import USERS_PATH, UserListingQuery
from app.api.routing import Router

STORED_FOR = 365 * 86_400
"""Seconds for which a browser stores the choice."""

router = Router(prefix=f"{USERS_PATH}/display", include_in_schema=False)


class DisplayForm(BaseModel):
    """The choice, and the button that was pressed.

    Attributes:
        up: column to move towards the first.
        down: column to move towards the last.
        reset: whether to show the table as by default.
    """

    column: Columns = ()
    density: Density = "comfortable"
    size: PageSize = PAGE_SIZE
    up: Column | None = None
    down: Column | None = None
    reset: bool = False

    @property
    def chosen(self) -> Display:
        if self.reset:
            return DEFAULT
        shown = Display(columns=self.column, density=self.density, size=self.size)
        if self.up:
            return shown.moved(self.up, -1)
        return shown.moved(self.down, 1) if self.down else shown

    @property
    def fragment(self) -> str:
        """The button that moved a column: it has the focus again, so that it can be pressed on."""
        if self.up:
            return f"#up-{self.up}"
        return f"#down-{self.down}" if self.down else ""


@router.post("", name="dashboard_display_users")
async def display_users(
    request: Request,
    page: UsersPage,
    listing: UserListingQuery,
    form: Annotated[DisplayForm, Form()],
    stored: StoredDisplay,
) -> Response:
    """Show a list like this, and store the choice in a cookie."""
    shown = form.chosen
    answer = page.redirect_to(listing.displayed(shown, stored).url + form.fragment)
    if shown == DEFAULT:
        cookies.delete(answer, request, "display")
    else:
        cookies.write(answer, request, "display", shown.cookie, STORED_FOR)
    return answer

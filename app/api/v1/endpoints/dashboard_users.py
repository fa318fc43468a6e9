"""The admin page's view of users."""

from fastapi import APIRouter, Response

from app.api.export import ExportResponse
from app.api.pages.listing import Listed
from app.api.pages.visitors import PageDep
from app.api.types import Exports, UserLists

router = APIRouter(prefix="/dashboard/users", include_in_schema=False)


@router.get("", name="dashboard_users")
async def users_table(page: PageDep, listing: Listed, users: UserLists) -> Response:
    """A page of the users whom the filters leave."""
    found = await users.page(listing.filters, listing.params)
    return page.render("users/table.html", listing=listing, found=found)


@router.get("/export", name="dashboard_users_export")
async def export(_: PageDep, listing: Listed, exports: Exports, response: Response) -> Response:
    """All of them, as a file for a spreadsheet."""
    stream = exports.users(listing.filters, "csv")
    return ExportResponse(stream, "users", "csv", response.headers)

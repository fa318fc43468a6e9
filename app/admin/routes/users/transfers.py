"""Routes of the imports and exports that are background jobs: list, progress, cancel, download."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Response

from app.admin.deps.pages import PageDep
from app.admin.deps.services import Transfers
from app.admin.listings.users import UserListingQuery
from app.admin.page import Notice
from app.admin.rendering import BASE
from app.api.deps.services import UserLists
from app.api.export import ExportResponse
from app.api.routing import Router
from app.core.exceptions import ConflictException

TRANSFERS_PATH = f"{BASE}/transfers"

router = Router(prefix=TRANSFERS_PATH, include_in_schema=False)

TransferId = Annotated[UUID, Path()]


@router.get("", name="dashboard_transfers")
async def transfers_table(page: PageDep, transfers: Transfers) -> Response:
    """The last imports and exports."""
    return page.render("transfers/table.html", transfers=await transfers.newest())


@router.post("/export", name="dashboard_begin_export")
async def begin_export(
    page: PageDep, listing: UserListingQuery, users: UserLists, transfers: Transfers
) -> Response:
    """Have a worker write all users that match the filters into a file."""
    found = await users.page(listing.filters, listing.params)
    try:
        begun = await transfers.begin_export(listing.filters, found.total, page.admin)
    except ConflictException as refusal:
        return page.redirect("/transfers", Notice(refusal.message, "error"))
    return page.redirect(f"/transfers/{begun}")


@router.get("/{transfer_id}", name="dashboard_transfer")
async def transfer_view(page: PageDep, transfer_id: TransferId, transfers: Transfers) -> Response:
    """An import or export, and its progress; the view refreshes itself until it has ended."""
    return page.render("transfers/transfer.html", transfer=await transfers.get(transfer_id))


@router.post("/{transfer_id}/cancel", name="dashboard_cancel_transfer")
async def cancel(page: PageDep, transfer_id: TransferId, transfers: Transfers) -> Response:
    """Cancel an import or export that has not ended."""
    if await transfers.cancel(transfer_id):
        notice = Notice("Cancelled")
    else:
        notice = Notice("It had ended before", "error")
    return page.redirect(f"/transfers/{transfer_id}", notice)


@router.get("/{transfer_id}/file", name="dashboard_transfer_file")
async def download(
    _: PageDep, transfer_id: TransferId, transfers: Transfers, response: Response
) -> Response:
    """The file of an export that is done."""
    file = await transfers.file(transfer_id)
    headers = {**response.headers, "Content-Length": str(file.size)}
    return ExportResponse(file.parts, "users", "csv", headers)

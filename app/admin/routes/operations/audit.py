"""Routes of the audit page: the table of events, and its export."""

from fastapi import Response

from app.admin.deps.pages import AuditPage
from app.admin.deps.services import Audit
from app.admin.listings.audit import AUDIT_PATH, AuditListingQuery
from app.api.export import ExportResponse
from app.api.routing import Router
from app.core.permissions import Permission
from app.schemas.audit import Action

router = Router(prefix=AUDIT_PATH, include_in_schema=False)


@router.get("", name="dashboard_audit")
async def audit_table(page: AuditPage, listing: AuditListingQuery, audit: Audit) -> Response:
    """The table of events: one page of those that match the filters."""
    found = await audit.page(listing.filters, listing.params)
    return page.render(
        "audit/table.html",
        listing=listing,
        found=found,
        actions=list(Action),
        call=page.api_call("/audit", Permission.AUDIT_READ, listing.filters, listing.params),
    )


@router.get("/export", name="dashboard_audit_export")
async def export(
    _: AuditPage, listing: AuditListingQuery, audit: Audit, response: Response
) -> Response:
    """All events that match the filters, as CSV for a spreadsheet."""
    stream = audit.export(listing.filters, "csv", bom=True)
    return ExportResponse(stream, "audit", "csv", response.headers)

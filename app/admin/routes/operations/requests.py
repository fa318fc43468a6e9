"""The page of recent requests and errors."""

from fastapi import Response

from app.admin.deps.pages import RequestsPage
from app.admin.deps.services import Recent
from app.admin.drawing.time_bar import WIDTH, time_bar
from app.admin.listings.requests import (
    NO_ROUTE,
    REQUESTS_PATH,
    STATUSES,
    RequestListingQuery,
    requests_shown,
)
from app.api.routing import Router

router = Router(prefix=REQUESTS_PATH, include_in_schema=False)


@router.get("", name="dashboard_requests")
async def requests_table(
    page: RequestsPage, listing: RequestListingQuery, recent: Recent
) -> Response:
    """The table of recent requests, or why there is none."""
    return page.render(
        "requests/table.html",
        listing=listing,
        found=await requests_shown(listing, recent),
        recent=recent,
        statuses=STATUSES,
        unmatched=NO_ROUTE,
        time_bar=time_bar,
        bar_width=WIDTH,
    )

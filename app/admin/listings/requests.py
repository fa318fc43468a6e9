"""`RequestListing`: query parameters of the table of recent requests, and what they select."""

from collections.abc import Iterable
from math import ceil
from typing import Annotated, ClassVar, Literal, NamedTuple

from fastapi import Query
from pydantic import Field

from app.admin.listings.base import Listing
from app.admin.rendering import BASE
from app.admin.translation import N_
from app.core.redis import RedisUnavailable
from app.core.telemetry.ended_request import EndedRequest
from app.schemas.audit import Reference
from app.services.monitoring.recent_requests import Kind, RecentRequests

REQUESTS_PATH = f"{BASE}/requests"
STATUSES = ("5xx", "4xx", "3xx", "2xx")
NO_ROUTE = N_("no route")
"""Shown and sought in place of the route where none matched."""


class RequestListing(Listing):
    """Filters and page of the table."""

    path: ClassVar[str] = REQUESTS_PATH

    id: str | None = Field(None, max_length=64)
    status: Literal["5xx", "4xx", "3xx", "2xx"] | None = None
    speed: Literal["slow"] | None = None
    route: str | None = Field(None, max_length=200)
    actor: Reference | Literal["anonymous"] | None = None

    def select(self, requests: Iterable[EndedRequest], *, slow_after: float) -> list[EndedRequest]:
        """Those that match all filters.

        Args:
            requests: all there are.
            slow_after: seconds.
        """
        return [
            request
            for request in requests
            if self.id in {None, request.id}
            and self.status in {None, f"{request.status // 100}xx"}
            and (self.speed is None or request.seconds >= slow_after)
            and self.route in {None, request.route or NO_ROUTE}
            and self.actor in {None, request.actor}
        ]

    def of(self, **filters: str) -> "RequestListing":
        """The table with these filters alone."""
        return RequestListing.model_validate(filters)


class RequestsShown(NamedTuple):
    """A page of the table.

    Attributes:
        items: of this page.
        total: that match.
        pages: of the table.
        routes: of all requests, and the one that is sought.
        sampled: kinds of which not all requests are stored, with the number of which one is.
    """

    items: list[EndedRequest]
    total: int
    pages: int
    routes: list[str]
    sampled: dict[Kind, float]


async def requests_shown(listing: RequestListing, recent: RecentRequests) -> RequestsShown | None:
    """A page of the table; None where the records cannot be read now."""
    try:
        stored = await recent.newest()
    except RedisUnavailable:
        return None
    found = listing.select(stored, slow_after=recent.slow_after)
    first = (listing.page - 1) * listing.rows
    return RequestsShown(
        items=found[first : first + listing.rows],
        total=len(found),
        pages=ceil(len(found) / listing.rows),
        routes=sorted(
            {request.route or NO_ROUTE for request in stored}
            | ({listing.route} if listing.route else set())
        ),
        sampled=_sampled(stored, recent),
    )


def _sampled(stored: list[EndedRequest], recent: RecentRequests) -> dict[Kind, float]:
    weights: dict[Kind, list[float]] = {}
    for request in stored:
        weights.setdefault(recent.kind_of(request), []).append(request.stands_for)
    means = {kind: sum(ones) / len(ones) for kind, ones in weights.items()}
    return {kind: mean for kind, mean in means.items() if mean > 1}


RequestListingQuery = Annotated[RequestListing, Query()]

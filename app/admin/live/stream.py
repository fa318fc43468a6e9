"""`LiveStream`: the response that streams the live part of the overview to one browser."""

from collections.abc import AsyncIterator

from fastapi import Request, Response
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from app.admin.deps.pages import watching_page
from app.admin.listings.overview import OverviewView
from app.admin.page import AdminPage
from app.admin.rendering import BASE
from app.admin.services.overview_feed import OverviewFeed, Snapshot, Subscription
from app.core.exceptions import AppException, ForbiddenException, UnauthorizedException
from app.core.middleware.deadline import current_deadline
from app.core.telemetry.timing import current_timing

LIVE = f"{BASE}/live"
BEAT = 3.0
"""Seconds between two parts of a stream at most: the session is checked, and a proxy sees that the
connection is used."""
RETRY = 3000
"""Milliseconds after which a browser asks again for a stream that was cut."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class LiveStream(EventSourceResponse):
    """Events `overview` with the HTML of the part; `end` once the session has ended or lacks a
    permission, within `BEAT`. Where no stream can be had, 204: a browser does not ask again, and
    the page asks for the part every few seconds.

    Args:
        request: of the browser.
        page: of who is logged in.
        view: the part's.
        feed: the process's.
    """

    def __init__(
        self, request: Request, page: AdminPage, view: OverviewView, feed: OverviewFeed
    ) -> None:
        super().__init__(iter(()), headers=HEADERS)
        self._request, self._page, self._view, self._feed = request, page, view, feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Subscribed here: a response that is never sent would leave its subscription behind.
        subscription = self._feed.subscribe(self._page.admin.session_id, self._view.period)
        if subscription is None:
            await Response(status_code=204, headers=HEADERS)(scope, receive, send)
            return
        try:
            _exempt_from_limits(scope)
            self.body_iterator = self._events(subscription)
            await super().__call__(scope, receive, send)
        finally:
            self._feed.unsubscribe(subscription)

    async def _events(self, subscription: Subscription) -> AsyncIterator[bytes]:
        deadline = current_deadline()
        beat = BEAT if deadline is None else min(BEAT, deadline.timeout / 3)
        yield format_sse_event(retry=RETRY)
        while not subscription.is_over:
            snapshot = await subscription.next(beat)
            if deadline is not None:
                deadline.waited = 0.0  # each check is short, and there is no end to their number
            try:
                page = await watching_page(self._request)
            except (ForbiddenException, UnauthorizedException):
                yield format_sse_event(event="end", data_str="")
                return
            except AppException:  # the browser asks again
                return
            if snapshot is None:
                yield format_sse_event(comment="")
            else:
                yield format_sse_event(event="overview", data_str=self._html(page, snapshot))

    def _html(self, page: AdminPage, snapshot: Snapshot) -> str:
        """Rendered once for all who have the same permissions and language."""
        key = page.admin.permissions, page.words.language
        if key not in snapshot.rendered:
            part = page.render("overview/live.html", view=self._view, overview=snapshot.figures)
            snapshot.rendered[key] = bytes(part.body).decode()
        return snapshot.rendered[key]


def _exempt_from_limits(scope: Scope) -> None:
    """Release the request's place in the server, and record the time until now as its latency."""
    state = scope.setdefault("state", {})
    if (timing := current_timing()) is not None:
        state["answered_in"] = timing.total
    if (release_place := state.get("release_place")) is not None:
        release_place()


def wants_stream(request: Request) -> bool:
    """Whether an `EventSource` asks for the live part."""
    is_live = request.method == "GET" and request.scope["path"] == LIVE
    return is_live and "text/event-stream" in request.headers.get("Accept", "")

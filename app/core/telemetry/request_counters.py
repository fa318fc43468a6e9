"""Counters and durations of requests, by route, method and status."""

from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

from app.core.telemetry.metrics import REQUEST_DURATION, REQUESTS

UNMATCHED = "unmatched"
"""Label for requests that match no route."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def route_template(scope: Scope) -> str | None:
    """The path template of the matched route, such as `/api/v1/users/{user_id}`; None without one.

    As a label it has few values, whatever paths clients send. FastAPI stores the full path of an
    included route beside the route, not on it.
    """
    included = scope.get("fastapi", {}).get("effective_route_context")
    route = included or scope.get("route")
    template: str | None = getattr(route, "path_format", None) or getattr(route, "path", None)
    return template


@dataclass(slots=True)
class RequestCounter:
    """Counts the requests of one process.

    Looking up a metric's labels takes longer than counting, so they are cached; there are as many
    as combinations of route, method and status.

    Attributes:
        in_progress: number of unfinished requests.
    """

    in_progress: int = 0
    _known: dict[tuple[str, str | None, int], tuple[Any, Any]] = field(default_factory=dict)

    def ended(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one finished request."""
        known = self._known.get((method, route, status))
        if known is None:
            known = self._look_up(method, route, status)
        count, duration = known
        count()
        duration(seconds)

    def _look_up(self, method: str, route: str | None, status: int) -> tuple[Any, Any]:
        labels = method if method in _METHODS else "OTHER", route or UNMATCHED
        known = REQUESTS.labels(*labels, status).inc, REQUEST_DURATION.labels(*labels).observe
        if method in _METHODS:  # clients can send arbitrary others
            self._known[method, route, status] = known
        return known


request_counter = RequestCounter()

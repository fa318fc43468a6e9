"""Counting requests: on the way of each, so that it has to be cheap."""

from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

from app.core.telemetry.metrics import REQUEST_DURATION, REQUESTS

UNMATCHED = "unmatched"
"""The route of what no route matches."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def route_template(scope: Scope) -> str | None:
    """The route's path with its parameters' names, such as `/api/v1/users/{user_id}`.

    A label made from it has few values, whatever paths are asked for. None where no route
    matched. FastAPI keeps an included route's full path beside the route, not on it.
    """
    included = scope.get("fastapi", {}).get("effective_route_context")
    route = included or scope.get("route")
    template: str | None = getattr(route, "path_format", None) or getattr(route, "path", None)
    return template


@dataclass(slots=True)
class RequestMeter:
    """Counts what one process answers.

    Looking a metric's labels up takes longer than counting, so those met before are kept; there
    are as many as routes, methods and statuses.

    Attributes:
        in_progress: requests begun and not ended.
    """

    in_progress: int = 0
    _known: dict[tuple[str, str | None, int], tuple[Any, Any]] = field(default_factory=dict)

    def ended(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one request by its route template."""
        known = self._known.get((method, route, status))
        if known is None:
            known = self._look_up(method, route, status)
        count, duration = known
        count()
        duration(seconds)

    def _look_up(self, method: str, route: str | None, status: int) -> tuple[Any, Any]:
        labels = method if method in _METHODS else "OTHER", route or UNMATCHED
        known = REQUESTS.labels(*labels, status).inc, REQUEST_DURATION.labels(*labels).observe
        if method in _METHODS:  # others are the caller's to make up
            self._known[method, route, status] = known
        return known


request_meter = RequestMeter()

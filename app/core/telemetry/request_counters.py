"""Counters and durations of requests, by route, method and status."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

from app.core.telemetry.metrics import LATENCY_BUCKETS, REQUEST_DURATION, REQUESTS
from app.core.telemetry.traffic import is_operational

UNMATCHED = "unmatched"
"""Label for requests that match no route."""
_PLACES = [f"p{place}" for place in range(len(LATENCY_BUCKETS) + 1)]
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
        unreported: requests of the product by what `TrafficHistoryService` stores of them: the
            class of the status, such as `4xx`, and the place of their latency in `LATENCY_BUCKETS`.
    """

    in_progress: int = 0
    unreported: Counter[str] = field(default_factory=Counter)
    _known: dict[tuple[str, str | None, int], tuple[Any, Any, str | None]] = field(
        default_factory=dict
    )

    def ended(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one finished request."""
        known = self._known.get((method, route, status))
        if known is None:
            known = self._look_up(method, route, status)
        count, duration, digit = known
        count()
        duration(seconds)
        if digit is not None:
            self.unreported[digit] += 1
            self.unreported[_PLACES[bisect_left(LATENCY_BUCKETS, seconds)]] += 1

    def take_unreported(self) -> Counter[str]:
        """Return `unreported`, and begin anew."""
        taken, self.unreported = self.unreported, Counter()
        return taken

    def _look_up(self, method: str, route: str | None, status: int) -> tuple[Any, Any, str | None]:
        labels = method if method in _METHODS else "OTHER", route or UNMATCHED
        known = (
            REQUESTS.labels(*labels, status).inc,
            REQUEST_DURATION.labels(*labels).observe,
            None if is_operational(labels[1]) else f"{status // 100}xx",
        )
        if method in _METHODS:  # clients can send arbitrary others
            self._known[method, route, status] = known
        return known


request_counter = RequestCounter()

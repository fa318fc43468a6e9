"""Requests, errors and latency percentiles by route, calculated from the metrics."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

from app.core.telemetry.exposition import MetricsSnapshot


def percentile(buckets: Mapping[float, float], fraction: float) -> float | None:
    """A percentile of a histogram; None if it is empty.

    Estimated like Prometheus' `histogram_quantile`: by linear interpolation within the bucket, and
    by the last finite bound beyond it.

    Args:
        buckets: upper bound → cumulative count; the last bound is infinite.
        fraction: 0.95 for the 95th percentile.
    """
    rank = fraction * buckets.get(inf, 0)
    if rank <= 0:
        return None
    start, below = 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= rank:
            inside = (rank - below) / (count - below)
            return start if bound == inf else start + (bound - start) * inside
        start, below = bound, count
    return start


_OPERATIONAL = "/api/v1/dashboard", "/static", "/health", "/api/v1/metrics"
_EXCEPT = "/api/v1/dashboard/stats"


def is_operational(route: str) -> bool:
    """Whether a route template is one of the admin pages, their files, the probes or the metrics:
    what operators look at, and no traffic of the product."""
    return route.startswith(_OPERATIONAL) and route != _EXCEPT


@dataclass(slots=True)
class Traffic:
    """Counts of requests.

    Attributes:
        statuses: number by status, such as "200".
        buckets: upper bound in seconds → cumulative count.
    """

    statuses: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    buckets: defaultdict[float, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def requests(self) -> int:
        return int(sum(self.statuses.values()))

    @property
    def errors(self) -> int:
        """Number of responses with 5xx."""
        return int(sum(count for status, count in self.statuses.items() if status[0] == "5"))

    @property
    def client_errors(self) -> int:
        """Number of responses with 4xx."""
        return int(sum(count for status, count in self.statuses.items() if status[0] == "4"))

    def having(self, status: int) -> int:
        return int(self.statuses.get(str(status), 0))

    def add(self, other: "Traffic") -> None:
        for status, count in other.statuses.items():
            self.statuses[status] += count
        for bound, count in other.buckets.items():
            self.buckets[bound] += count


def traffic_by_route(snapshot: MetricsSnapshot) -> dict[tuple[str, str], Traffic]:
    """Traffic by method and route template, without routes that had no requests."""
    traffic: defaultdict[tuple[str, str], Traffic] = defaultdict(Traffic)
    for labels, value in snapshot.of("http_requests_total"):
        traffic[labels["method"], labels["route"]].statuses[labels["status"]] = value
    for labels, value in snapshot.of("http_request_duration_seconds_bucket"):
        traffic[labels["method"], labels["route"]].buckets[float(labels["le"])] = value
    return {key: one for key, one in traffic.items() if one.requests}


def added_up(traffics: Iterable[Traffic]) -> Traffic:
    """The sum of several traffics."""
    total = Traffic()
    for traffic in traffics:
        total.add(traffic)
    return total

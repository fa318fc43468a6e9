"""What became of the requests of each route, read from the counters."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

from app.core.telemetry.exposition import Figures


def percentile(buckets: Mapping[float, float], fraction: float) -> float | None:
    """The value that so much of a histogram is at most; None where it is empty.

    Estimated as Prometheus' `histogram_quantile` does: on a straight line through the bucket that
    holds it, and the last finite bound for what is beyond.

    Args:
        buckets: upper bound → how many are at most that, the last bound being infinite.
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


@dataclass(slots=True)
class Traffic:
    """Requests, counted.

    Attributes:
        statuses: how many had which status, such as "200".
        buckets: how many took at most so many seconds.
    """

    statuses: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    buckets: defaultdict[float, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def requests(self) -> int:
        return int(sum(self.statuses.values()))

    @property
    def errors(self) -> int:
        """Those with a 5xx."""
        return int(sum(count for status, count in self.statuses.items() if status[0] == "5"))

    def having(self, status: int) -> int:
        return int(self.statuses.get(str(status), 0))

    def add(self, other: "Traffic") -> None:
        for status, count in other.statuses.items():
            self.statuses[status] += count
        for bound, count in other.buckets.items():
            self.buckets[bound] += count


def traffic_by_route(figures: Figures) -> dict[tuple[str, str], Traffic]:
    """By method and route template; routes that were not asked for are left out."""
    traffic: defaultdict[tuple[str, str], Traffic] = defaultdict(Traffic)
    for labels, value in figures.of("http_requests_total"):
        traffic[labels["method"], labels["route"]].statuses[labels["status"]] = value
    for labels, value in figures.of("http_request_duration_seconds_bucket"):
        traffic[labels["method"], labels["route"]].buckets[float(labels["le"])] = value
    return {key: one for key, one in traffic.items() if one.requests}


def added_up(traffics: Iterable[Traffic]) -> Traffic:
    """All of them as one."""
    total = Traffic()
    for traffic in traffics:
        total.add(traffic)
    return total

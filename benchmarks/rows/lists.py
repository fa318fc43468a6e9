"""P4: pages of users, filtered and sorted, at 10,000, 100,000 and `LARGEST` of them."""

from collections.abc import Iterator
from urllib.parse import urlencode

from benchmarks import load
from benchmarks.instance import LARGEST, Instance, application, floor, servers
from benchmarks.report import Figure

PEERS = "well-known peers: 0.004 to 0.021"
FILTERS: tuple[dict[str, str], ...] = (
    {},
    {"is_active": "false"},
    {"is_superuser": "true"},
    {"is_active": "true", "sort_by": "email", "sort_order": "asc"},
    {"is_superuser": "false", "sort_by": "username"},
)
P95 = 0.05
"""Seconds."""


def measure(runs: int) -> Iterator[Figure]:
    """All of it."""
    with servers() as own:
        with application(own, 10_000) as service, floor() as bare:
            yield from _against_the_floor(service, bare, runs)
        with application(own, 100_000) as service, application(own, LARGEST) as larger:
            yield from _highest_rate(service, runs)
            yield from _first_pages(service, larger, runs)


def page(**parameters: str) -> str:
    return f"/api/v1/users?{urlencode({'size': '50', **parameters})}"


def _requests(service: Instance) -> list[bytes]:
    return [load.get(page(**filters), service.token) for filters in FILTERS]


def _against_the_floor(service: Instance, bare: Instance, runs: int) -> Iterator[Figure]:
    requests, bare_request = _requests(service), [load.get("/stats")]
    load.run(service.port, requests, seconds=1)
    rates, bare_rates = [], []
    for _ in range(runs):
        rates.append(load.run(service.port, requests).expect(200).rate)
        bare_rates.append(load.run(bare.port, bare_request).expect(200).rate)
    parts = [rate / bare_rate for rate, bare_rate in zip(rates, bare_rates, strict=True)]
    yield Figure("P4", "pages of 50 among 10,000 users", rates, "requests/s")
    yield Figure("P4", "part of the bare route's throughput", parts, least=0.12, note=PEERS)


def _highest_rate(service: Instance, runs: int) -> Iterator[Figure]:
    """The pace of 50 connections is quickened until the slowest twentieth waits too long."""
    requests, kept = _requests(service), []
    load.run(service.port, requests, seconds=1)
    for _ in range(runs):
        rate = 25.0
        while load.run(service.port, requests, 50, pace=rate).expect(200).quantile(95) < P95:
            rate *= 1.2
        kept.append(rate / 1.2)
    yield Figure("P4", "rate at 100,000 users that keeps p95 under 50 ms", kept, "requests/s")


def _first_pages(smaller: Instance, larger: Instance, runs: int) -> Iterator[Figure]:
    for filters in FILTERS:
        ratios, seconds = [], []
        for _ in range(runs):
            medians = [
                load.run(
                    service.port, [load.get(page(**filters), service.token)], connections=1
                ).quantile(50)
                for service in (smaller, larger)
            ]
            seconds.append(medians[1] * 1000)
            ratios.append(medians[1] / medians[0])
        name = urlencode(filters) or "newest"
        yield Figure("P4", f"first page of {LARGEST:,}, {name}", seconds, "ms")
        yield Figure("P4", "against that of 100,000", ratios, most=2)
